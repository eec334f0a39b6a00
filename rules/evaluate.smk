# How good it is, and what it looks like.


rule evaluate_detection:
    input:
        manifest=ancient(FILES.manifest),
        annotations=ancient(FILES.every_nodule or []),
        excluded=FILES.excluded_findings,
        cards=lambda wildcards: FILES.cards_of(wildcards.detector),
        candidates=lambda wildcards: FILES.candidates_of(wildcards.detector, STUDY.recall_tests),
    output:
        metrics=out("evaluate/detection-{detector}.json"),
        page=report(
            out("evaluate/detection-{detector}.md"),
            caption="../report/detection.rst",
            category="Metrics",
            labels={"of": "detector {detector}"},
        ),
    log:
        out("logs/evaluate_detection/{detector}.log"),
    benchmark:
        out("benchmarks/evaluate_detection/{detector}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=30,
    params:
        candidates=lambda wildcards, input: os.path.dirname(input.candidates[0]),
        options=lambda wildcards, input: options(
            excluded=input.excluded,
            detector=PLACES.model_folder("detector", wildcards.detector),
            embedded=SYNTHETIC,
            datasets=["luna16", "dsb17"] if SYNTHETIC else ["luna16"],
        ),
        nodules=STUDY.nodules_digest(STUDY.recall_tests),
        rows=STUDY.rows_digest(STUDY.recall_tests, "scan", "split"),
        code=fingerprint("evaluate_detection"),
    message:
        "Counting the nodules among the candidates of detector {wildcards.detector}"
    shell:
        "lungline evaluate-detection {output.metrics:q} {input.annotations:q} --scans {input.manifest:q}"
        " --candidates {params.candidates:q} --split test {params.options} > {log} 2>&1"


rule evaluate_cancer:
    input:
        predictions=out("collect_predictions/{system}.csv"),
        card=lambda wildcards: f"{FILES.model_folder('system', wildcards.system)}/card.json",
        truth=out("cohort/truth.csv") if SYNTHETIC else [],
    output:
        metrics=out("evaluate/cancer-{system}.json"),
        table=out("evaluate/cancer-{system}.csv"),
        page=report(
            out("evaluate/cancer-{system}.md"),
            caption="../report/cancer.rst",
            category="Metrics",
            labels={"of": "system {system}"},
        ),
    log:
        out("logs/evaluate_cancer/{system}.log"),
    benchmark:
        out("benchmarks/evaluate_cancer/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=30,
    params:
        options=lambda wildcards, input: options(
            truth=input.truth, model=PLACES.model_folder("system", wildcards.system), embedded=SYNTHETIC
        ),
        code=fingerprint("evaluate_cancer"),
    message:
        "Measuring the answers of system {wildcards.system}"
    shell:
        "lungline evaluate-cancer {output.metrics:q} {input.predictions:q} {params.options} > {log} 2>&1"


rule draw_curves:
    input:
        predictions=lambda wildcards: out(f"collect_predictions/{wildcards.system}.csv") if STUDY.labelled_tests else [],
        detection=lambda wildcards: FILES.detection_of(wildcards.system),
        learning_curves=lambda wildcards: FILES.learning_curves_of(wildcards.system),
    output:
        folder=report(
            directory(out("curves/{system}")),
            patterns=["{name}.png"],
            caption="../report/curves.rst",
            category="Curves",
            labels={"system": "{system}", "curve": "{name}"},
        ),
    log:
        out("logs/draw_curves/{system}.log"),
    benchmark:
        out("benchmarks/draw_curves/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        options=lambda wildcards, input: options(
            predictions=input.predictions, detection=input.detection, learning_curves=input.learning_curves
        ),
        code=fingerprint("draw_curves"),
    message:
        "Drawing ROC, FROC and learning curves of system {wildcards.system}"
    shell:
        "lungline draw-curves {output.folder:q} {params.options} > {log} 2>&1"


rule draw_figures:
    input:
        volume=out("resample/{scan}.h5"),
        lungs=out("segment_lungs/{scan}.h5"),
        cache=out("cache_volume/{scan}.h5"),
        nodules=lambda wildcards: FILES.nodule_mask_of(wildcards.scan),
        detected=out(f"detect/{STUDY.drawing_detector}/{{scan}}.h5"),
        candidates=FILES.candidates_of(STUDY.drawing_detector, ["{scan}"]),
    output:
        folder=report(
            directory(out("figures/{scan}")),
            patterns=["{name}.png"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"scan": "{scan}", "figure": "{name}"},
        ),
    log:
        out("logs/draw_figures/{scan}.log"),
    benchmark:
        out("benchmarks/draw_figures/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        config=PLACES.config,
        detector=STUDY.drawing_detector,
        settings=FILES.unet_digest(STUDY.drawing_detector),
        options=lambda wildcards, input: options(nodules=input.nodules),
        code=fingerprint("draw_figures"),
    message:
        "Drawing Figures 1-5 of {wildcards.scan}"
    shell:
        "lungline draw-figures {output.folder:q} --scan {wildcards.scan} --volume {input.volume:q}"
        " --lungs {input.lungs:q} --cache {input.cache:q} --detected {input.detected:q}"
        " --candidates {input.candidates:q} --config {params.config:q}"
        " --detector {params.detector} {params.options} > {log} 2>&1"
