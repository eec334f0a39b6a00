# One score per patient. Method 2: Table 2 on candidates, their maximum, Eq. 1. Method 1: Table 2 on the whole volume.


rule resize_volume:
    input:
        **FILES.step_inputs("resize_volume"),
    output:
        volume=out("resize_volume/{size}/{scan}.h5"),
    log:
        out("logs/resize_volume/{size}/{scan}.log"),
    benchmark:
        out("benchmarks/resize_volume/{size}/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=10,
    params:
        code=fingerprint("resize_volume"),
    message:
        "Resizing the lung region of {wildcards.scan}"
    shell:
        "lungline resize-volume {input.cache:q} {output.volume:q} --size {wildcards.size:q} > {log:q} 2>&1"


rule train_classifier:
    input:
        manifest=ancient(FILES.manifest),
        inputs=lambda wildcards: FILES.training_inputs_of(wildcards.classifier),
        nodules=lambda wildcards: (
            out("implanted/nodules.csv") if STUDY.is_supervised_by_nodules(wildcards.classifier) else []
        ),
        init_from=lambda wildcards: FILES.initial_weights_of(wildcards.classifier),
        leakage_report=ancient(out("check_leakage.csv")),
    output:
        weights=out("train_classifier/{classifier}/weights.safetensors"),
        card=out("train_classifier/{classifier}/card.json"),
        curve=report(
            out("train_classifier/{classifier}/learning_curve.csv"),
            caption="../report/learning_curve.rst",
            category="Training",
            labels={"model": "{classifier}", "axis": ""},
        ),
    log:
        out("logs/train_classifier/{classifier}.log"),
    benchmark:
        out("benchmarks/train_classifier/{classifier}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: CONFIG.training_threads.train_classifier
    resources:
        mem_mb=classifier_memory(),
        runtime=2880,
        gpu=gpu(),
        device=CONFIG.device,
    params:
        config=PLACES.config,
        folder=folder_of("weights"),
        inputs=lambda wildcards: PLACES.read_by(wildcards.classifier),
        init_from=lambda wildcards, input: options(
            init_from=[os.path.dirname(path) for path in input.init_from], nodules=input.nodules
        ),
        checkpoints=PLACES.out("checkpoints"),
        cost=PLACES.out("benchmarks/train_classifier/{classifier}.json"),
        settings_digest=lambda wildcards: FILES.classifier_digest(wildcards.classifier),
        rows_digest=lambda wildcards: STUDY.rows_digest(STUDY.cases_of(wildcards.classifier), "scan", "split", "label"),
        code=fingerprint("train_classifier"),
    message:
        "Training classifier {wildcards.classifier}"
    shell:
        "lungline train-classifier {params.folder:q} --config {params.config:q} --classifier {wildcards.classifier:q}"
        " --manifest {input.manifest:q} --inputs {params.inputs:q} {params.init_from} --checkpoints {params.checkpoints:q}"
        " --cost {params.cost:q} --device {resources.device:q} > {log:q} 2>&1"


rule bundle_manifest:
    input:
        card=lambda wildcards: f"{FILES.model_folder('classifier', wildcards.classifier)}/card.json",
        cards=lambda wildcards: FILES.cards_of_classifier(wildcards.classifier),
    output:
        bundle=out("bundle/{classifier}.json"),
    log:
        out("logs/bundle_manifest/{classifier}.log"),
    benchmark:
        out("benchmarks/bundle_manifest/{classifier}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=5,
    params:
        config=PLACES.config,
        models=lambda wildcards, input: options(
            model=os.path.dirname(input.card),
            detector=[os.path.dirname(os.path.dirname(path)) for path in input.cards[:1]],
        ),
        settings_digest=lambda wildcards: digest(settings_on_the_way(CONFIG, wildcards.classifier)),
        code=fingerprint("bundle_manifest"),
    message:
        "Writing the bundle manifest of classifier {wildcards.classifier}"
    shell:
        "lungline bundle-manifest {output.bundle:q} --config {params.config:q} --classifier {wildcards.classifier:q}"
        " {params.models} > {log:q} 2>&1"


rule predict_cancer:
    input:
        manifest=ancient(FILES.manifest),
        weights=lambda wildcards: f"{FILES.model_folder('classifier', wildcards.classifier)}/weights.safetensors",
        card=lambda wildcards: f"{FILES.model_folder('classifier', wildcards.classifier)}/card.json",
        inputs=lambda wildcards: FILES.inputs_of(wildcards.classifier, STUDY.patients),
    output:
        scores=out("predict_cancer/{classifier}.csv"),
    log:
        out("logs/predict_cancer/{classifier}.log"),
    benchmark:
        out("benchmarks/predict_cancer/{classifier}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: CONFIG.training_threads.train_classifier
    resources:
        mem_mb=classifier_memory(),
        runtime=120,
        gpu=gpu(),
        device=CONFIG.device,
    params:
        model=lambda wildcards: PLACES.model_folder("classifier", wildcards.classifier),
        inputs=lambda wildcards: PLACES.read_by(wildcards.classifier),
        code=fingerprint("predict_cancer"),
    message:
        "Scoring every patient with classifier {wildcards.classifier}"
    shell:
        "lungline predict-cancer {output.scores:q} --model {params.model:q} --manifest {input.manifest:q}"
        " --inputs {params.inputs:q} --device {resources.device:q} > {log:q} 2>&1"


rule collect_predictions:
    input:
        manifest=ancient(FILES.manifest),
        scores=out("predict_cancer/{classifier}.csv"),
    output:
        predictions=report(
            out("collect_predictions/{classifier}.csv"),
            caption="../report/predictions.rst",
            category="Predictions",
            labels={"classifier": "{classifier}"},
        ),
    log:
        out("logs/collect_predictions/{classifier}.log"),
    benchmark:
        out("benchmarks/collect_predictions/{classifier}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        rows_digest=STUDY.rows_digest(STUDY.rows, "scan", "dataset", "split", "label"),
        code=fingerprint("collect_predictions"),
    message:
        "Writing one row per scan of the manifest, classifier {wildcards.classifier}"
    shell:
        "lungline collect-predictions {output.predictions:q} --manifest {input.manifest:q} --predictions {input.scores:q}"
        " --classifier {wildcards.classifier:q} > {log:q} 2>&1"


rule first_predictions:
    input:
        predictions=out(f"collect_predictions/{CONFIG.run[0]}.csv"),
    output:
        predictions=out("predictions.csv"),
    log:
        out("logs/first_predictions.log"),
    localrule: True
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(100),
        runtime=5,
    message:
        "Writing predictions.csv"
    shell:
        "cp {input.predictions:q} {output.predictions:q} > {log:q} 2>&1"
