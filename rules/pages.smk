# What a reader looks at: the nodule table and the page of a scan, the page of the cohort.
from lungline.reports.html import look_digest


rule describe_nodules:
    input:
        ct=out("ingest/{scan}.h5"),
        volume=out("resample/{scan}.h5"),
        lungs=out("segment_lungs/{scan}.h5"),
        labels=lambda wildcards: labels_for(wildcards.system, wildcards.scan),
        candidates=lambda wildcards: candidates_for(wildcards.system, wildcards.scan),
        patches=lambda wildcards: inputs_of(wildcards.system, [wildcards.scan]) if searched_for(wildcards.system) else [],
        scores=out("predict_cancer/{system}.csv"),
    output:
        table=out("describe_nodules/{system}/{scan}.json"),
        rows=out("describe_nodules/{system}/{scan}.csv"),
    log:
        out("logs/describe_nodules/{system}/{scan}.log"),
    benchmark:
        out("benchmarks/describe_nodules/{system}/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        options=lambda wildcards, input: options(
            labels=input.labels,
            candidates=input.candidates,
            patches=input.patches,
            learned_from="nodules" if from_nodules(wildcards.system) else [],
        ),
        code=fingerprint("describe_nodules"),
    message:
        "Describing the candidates of {wildcards.scan}"
    shell:
        "lungline describe-nodules {output.table:q} --scan {wildcards.scan} --ingested {input.ct:q}"
        " --volume {input.volume:q} --lungs {input.lungs:q} --answers {input.scores:q} --system {wildcards.system}"
        " {params.options} > {log} 2>&1"


rule draw_page:
    input:
        table=out("describe_nodules/{system}/{scan}.json"),
        volume=out("resample/{scan}.h5"),
        lungs=out("segment_lungs/{scan}.h5"),
        detected=lambda wildcards: probability_for(wildcards.system, wildcards.scan),
    output:
        page=out("pages/{system}/{scan}.html"),
    log:
        out("logs/draw_page/{system}/{scan}.log"),
    benchmark:
        out("benchmarks/draw_page/{system}/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        options=lambda wildcards, input: options(detected=input.detected),
        look=look_digest(),
        code=fingerprint("draw_page"),
    message:
        "Writing the page of {wildcards.scan}"
    shell:
        "lungline draw-page {output.page:q} --nodules {input.table:q} --volume {input.volume:q} --lungs {input.lungs:q}"
        " {params.options} > {log} 2>&1"


rule draw_index:
    input:
        predictions=out("collect_predictions/{system}.csv"),
        tables=lambda wildcards: out_of(f"describe_nodules/{wildcards.system}/{{scan}}.json", page_scans()),
        pages=lambda wildcards: out_of(f"pages/{wildcards.system}/{{scan}}.html", page_scans()),
        detection=lambda wildcards: detection_of(wildcards.system),
    output:
        index=out("pages/{system}/index.html"),
    log:
        out("logs/draw_index/{system}.log"),
    benchmark:
        out("benchmarks/draw_index/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        options=lambda wildcards, input, output: options(
            nodules=out(f"describe_nodules/{wildcards.system}"),
            pages=os.path.dirname(output.index),
            detection=input.detection,
            comparison=[table for table in [out("compare/comparison.csv")] if os.path.isfile(table)],
        ),
        look=look_digest(),
        code=fingerprint("draw_index"),
    message:
        "Writing the page of the cohort, system {wildcards.system}"
    shell:
        "lungline draw-index {output.index:q} --predictions {input.predictions:q} {params.options} > {log} 2>&1"


ruleorder: draw_index > draw_page
