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
            synthetic=SYNTHETIC,
            datasets=["luna16", "dsb17"] if SYNTHETIC else ["luna16"],
        ),
        nodules_digest=STUDY.nodules_digest(STUDY.recall_tests),
        rows_digest=STUDY.rows_digest(STUDY.recall_tests, "scan", "split"),
        code=fingerprint("evaluate_detection"),
    message:
        "Counting the nodules among the candidates of detector {wildcards.detector}"
    shell:
        "lungline evaluate-detection {output.metrics:q} {input.annotations:q} --manifest {input.manifest:q}"
        " --candidates {params.candidates:q} --split test {params.options} > {log:q} 2>&1"


rule evaluate_cancer:
    input:
        predictions=out("collect_predictions/{classifier}.csv"),
        card=lambda wildcards: f"{FILES.model_folder('classifier', wildcards.classifier)}/card.json",
        ground_truth=out("cohort/ground_truth.csv") if SYNTHETIC else [],
    output:
        metrics=out("evaluate/cancer-{classifier}.json"),
        table=out("evaluate/cancer-{classifier}.csv"),
        page=report(
            out("evaluate/cancer-{classifier}.md"),
            caption="../report/cancer.rst",
            category="Metrics",
            labels={"of": "classifier {classifier}"},
        ),
    log:
        out("logs/evaluate_cancer/{classifier}.log"),
    benchmark:
        out("benchmarks/evaluate_cancer/{classifier}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=30,
    params:
        options=lambda wildcards, input: options(
            ground_truth=input.ground_truth,
            model=PLACES.model_folder("classifier", wildcards.classifier),
            synthetic=SYNTHETIC,
        ),
        code=fingerprint("evaluate_cancer"),
    message:
        "Evaluating the predictions of classifier {wildcards.classifier}"
    shell:
        "lungline evaluate-cancer {output.metrics:q} {input.predictions:q} {params.options} > {log:q} 2>&1"


rule plot_curves:
    input:
        predictions=lambda wildcards: (
            out(f"collect_predictions/{wildcards.classifier}.csv") if STUDY.labelled_tests else []
        ),
        detection=lambda wildcards: FILES.detection_of(wildcards.classifier),
        learning_curves=lambda wildcards: FILES.learning_curves_of(wildcards.classifier),
    output:
        folder=report(
            directory(out("curves/{classifier}")),
            patterns=["{name}.png"],
            caption="../report/curves.rst",
            category="Curves",
            labels={"classifier": "{classifier}", "curve": "{name}"},
        ),
    log:
        out("logs/plot_curves/{classifier}.log"),
    benchmark:
        out("benchmarks/plot_curves/{classifier}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        options=lambda wildcards, input: options(
            predictions=input.predictions, detection=input.detection, learning_curves=input.learning_curves
        ),
        code=fingerprint("plot_curves"),
    message:
        "Plotting ROC, FROC and learning curves of classifier {wildcards.classifier}"
    shell:
        "lungline plot-curves {output.folder:q} {params.options} > {log:q} 2>&1"


rule render_figures:
    input:
        volume=out("resample/{scan}.h5"),
        lungs=out("segment_lungs/{scan}.h5"),
        cache=out("cache_volume/{scan}.h5"),
        nodules=lambda wildcards: FILES.nodule_mask_of(wildcards.scan),
        detected=out(f"detect/{STUDY.rendered_detector}/{{scan}}.h5"),
        candidates=FILES.candidates_of(STUDY.rendered_detector, ["{scan}"]),
    output:
        folder=report(
            directory(out("figures/{scan}")),
            patterns=["{name}.png"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"scan": "{scan}", "figure": "{name}"},
        ),
    log:
        out("logs/render_figures/{scan}.log"),
    benchmark:
        out("benchmarks/render_figures/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        config=PLACES.config,
        detector=STUDY.rendered_detector,
        settings=FILES.unet_digest(STUDY.rendered_detector),
        options=lambda wildcards, input: options(nodules=input.nodules),
        code=fingerprint("render_figures"),
    message:
        "Rendering Figures 1-5 of {wildcards.scan}"
    shell:
        "lungline render-figures {output.folder:q} --scan {wildcards.scan:q} --volume {input.volume:q}"
        " --lungs {input.lungs:q} --cache {input.cache:q} --detected {input.detected:q}"
        " --candidates {input.candidates:q} --config {params.config:q}"
        " --detector {params.detector:q} {params.options} > {log:q} 2>&1"


rule collect_lungs:
    input:
        manifest=ancient(FILES.manifest),
        lungs=FILES.of("segment_lungs/{scan}.h5", STUDY.patients),
    output:
        lungs=out("lungs.csv"),
    log:
        out("logs/collect_lungs.log"),
    benchmark:
        out("benchmarks/collect_lungs.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        lungs=folder_of("lungs"),
        rows_digest=STUDY.rows_digest(STUDY.patients, "scan"),
        code=fingerprint("collect_lungs"),
    message:
        "Collecting the lungs in numbers"
    shell:
        "lungline collect-lungs {output.lungs:q} --manifest {input.manifest:q} --lungs {params.lungs:q} > {log:q} 2>&1"
