# What a reader looks at: the nodule table and the page of a scan, the page of the cohort.
from lungline.reports.html import style_digest


rule describe_nodules:
    input:
        unpack(lambda wildcards: FILES.of_nodules("describe_nodules", wildcards.classifier, wildcards.scan)),
    output:
        table=out("describe_nodules/{classifier}/{scan}.json"),
        rows=out("describe_nodules/{classifier}/{scan}.csv"),
    log:
        out("logs/describe_nodules/{classifier}/{scan}.log"),
    benchmark:
        out("benchmarks/describe_nodules/{classifier}/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        inputs=lambda wildcards, input: options(**dict(input.items())),
        supervision=lambda wildcards: "nodules" if STUDY.is_supervised_by_nodules(wildcards.classifier) else "patients",
        settings=lambda wildcards: settings("describe_nodules", detector=STUDY.detector_of(wildcards.classifier)),
        code=fingerprint("describe_nodules"),
    message:
        "Writing the nodule table of {wildcards.scan}"
    shell:
        "lungline describe-nodules {output.table:q} --scan {wildcards.scan:q} --classifier {wildcards.classifier:q}"
        " --supervision {params.supervision:q} {params.settings} {params.inputs} > {log:q} 2>&1"


rule render_page:
    input:
        unpack(lambda wildcards: FILES.of_nodules("render_page", wildcards.classifier, wildcards.scan)),
    output:
        page=out("pages/{classifier}/{scan}.html"),
    log:
        out("logs/render_page/{classifier}/{scan}.log"),
    benchmark:
        out("benchmarks/render_page/{classifier}/{scan}.tsv")
    wildcard_constraints:
        scan=r"(?!index\.html)[A-Za-z0-9._-]+",
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        inputs=lambda wildcards, input: options(**dict(input.items())),
        look=style_digest(),
        code=fingerprint("render_page"),
    message:
        "Writing the page of {wildcards.scan}"
    shell:
        "lungline render-page {output.page:q} {params.inputs} > {log:q} 2>&1"


rule render_index:
    input:
        predictions=out("collect_predictions/{classifier}.csv"),
        tables=lambda wildcards: FILES.of(f"describe_nodules/{wildcards.classifier}/{{scan}}.json", STUDY.page_scans),
        pages=lambda wildcards: FILES.of(f"pages/{wildcards.classifier}/{{scan}}.html", STUDY.page_scans),
        detection=lambda wildcards: FILES.detection_of(wildcards.classifier),
    output:
        index=out("pages/{classifier}/index.html"),
    log:
        out("logs/render_index/{classifier}.log"),
    benchmark:
        out("benchmarks/render_index/{classifier}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        options=lambda wildcards, input, output: options(
            nodules=PLACES.out(f"describe_nodules/{wildcards.classifier}"),
            pages=os.path.dirname(output.index),
            detection=input.detection,
            comparison=[table for table in [PLACES.out("compare/comparison.csv")] if os.path.isfile(table)],
        ),
        look=style_digest(),
        code=fingerprint("render_index"),
    message:
        "Writing the page of the cohort, classifier {wildcards.classifier}"
    shell:
        "lungline render-index {output.index:q} --predictions {input.predictions:q} {params.options} > {log:q} 2>&1"
