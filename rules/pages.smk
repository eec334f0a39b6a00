# What a reader looks at: the nodule table and the page of a scan, the page of the cohort.
from lungline.reports.html import look_digest


rule describe_nodules:
    input:
        unpack(lambda wildcards: FILES.of_nodules("describe_nodules", wildcards.system, wildcards.scan)),
    output:
        table=out("describe_nodules/{system}/{scan}.json"),
        rows=out("describe_nodules/{system}/{scan}.csv"),
    log:
        out("logs/describe_nodules/{system}/{scan}.log"),
    benchmark:
        out("benchmarks/describe_nodules/{system}/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        inputs=lambda wildcards, input: options(**dict(input.items())),
        learned_from=lambda wildcards: "nodules" if STUDY.learns_from_nodules(wildcards.system) else "patients",
        settings=lambda wildcards: settings("describe_nodules", detector=STUDY.detector_of(wildcards.system)),
        code=fingerprint("describe_nodules"),
    message:
        "Describing the candidates of {wildcards.scan}"
    shell:
        "lungline describe-nodules {output.table:q} --scan {wildcards.scan} --system {wildcards.system}"
        " --learned-from {params.learned_from} {params.settings} {params.inputs} > {log} 2>&1"


rule draw_page:
    input:
        unpack(lambda wildcards: FILES.of_nodules("draw_page", wildcards.system, wildcards.scan)),
    output:
        page=out("pages/{system}/{scan}.html"),
    log:
        out("logs/draw_page/{system}/{scan}.log"),
    benchmark:
        out("benchmarks/draw_page/{system}/{scan}.tsv")
    wildcard_constraints:
        scan=r"(?!index\.html)[A-Za-z0-9._-]+",
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        inputs=lambda wildcards, input: options(**dict(input.items())),
        look=look_digest(),
        code=fingerprint("draw_page"),
    message:
        "Writing the page of {wildcards.scan}"
    shell:
        "lungline draw-page {output.page:q} {params.inputs} > {log} 2>&1"


rule draw_index:
    input:
        predictions=out("collect_predictions/{system}.csv"),
        tables=lambda wildcards: FILES.of(f"describe_nodules/{wildcards.system}/{{scan}}.json", STUDY.page_scans),
        pages=lambda wildcards: FILES.of(f"pages/{wildcards.system}/{{scan}}.html", STUDY.page_scans),
        detection=lambda wildcards: FILES.detection_of(wildcards.system),
    output:
        index=out("pages/{system}/index.html"),
    log:
        out("logs/draw_index/{system}.log"),
    benchmark:
        out("benchmarks/draw_index/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        options=lambda wildcards, input, output: options(
            nodules=PLACES.out(f"describe_nodules/{wildcards.system}"),
            pages=os.path.dirname(output.index),
            detection=input.detection,
            comparison=[table for table in [PLACES.out("compare/comparison.csv")] if os.path.isfile(table)],
        ),
        look=look_digest(),
        code=fingerprint("draw_index"),
    message:
        "Writing the page of the cohort, system {wildcards.system}"
    shell:
        "lungline draw-index {output.index:q} --predictions {input.predictions:q} {params.options} > {log} 2>&1"
