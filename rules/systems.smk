# One answer a patient. Method 2: Table 2 on candidates, their maximum, Eq. 1. Method 1: Table 2 on the whole volume.


rule resize_volume:
    input:
        **FILES.reads("resize_volume"),
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
        "lungline resize-volume {input.cache:q} {output.volume:q} --size {wildcards.size} > {log} 2>&1"


rule train_system:
    input:
        manifest=ancient(FILES.manifest),
        inputs=lambda wildcards: FILES.lessons_of(wildcards.system),
        nodules=lambda wildcards: out("inserted/nodules.csv") if STUDY.learns_from_nodules(wildcards.system) else [],
        start=lambda wildcards: FILES.start_of(wildcards.system),
        checked=ancient(out("check_leakage.csv")),
    output:
        weights=out("train_system/{system}/weights.safetensors"),
        card=out("train_system/{system}/card.json"),
        curve=report(
            out("train_system/{system}/learning_curve.csv"),
            caption="../report/learning_curve.rst",
            category="Training",
            labels={"model": "{system}", "axis": ""},
        ),
    log:
        out("logs/train_system/{system}.log"),
    benchmark:
        out("benchmarks/train_system/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: CONFIG.training_threads.train_system
    resources:
        mem_mb=system_memory(),
        runtime=2880,
        gpu=gpu(),
        device=CONFIG.device,
    params:
        config=PLACES.config,
        folder=folder_of("weights"),
        inputs=lambda wildcards: PLACES.read_by(wildcards.system),
        start=lambda wildcards, input: options(
            start=[os.path.dirname(path) for path in input.start], nodules=input.nodules
        ),
        checkpoints=PLACES.out("checkpoints"),
        cost=PLACES.out("benchmarks/train_system/{system}.json"),
        settings=lambda wildcards: FILES.system_digest(wildcards.system),
        rows=lambda wildcards: STUDY.rows_digest(STUDY.cases_of(wildcards.system), "scan", "split", "label"),
        code=fingerprint("train_system"),
    message:
        "Training system {wildcards.system}"
    shell:
        "lungline train-system {params.folder:q} --config {params.config:q} --system {wildcards.system}"
        " --scans {input.manifest:q} --inputs {params.inputs:q} {params.start} --checkpoints {params.checkpoints:q}"
        " --cost {params.cost:q} --device {resources.device} > {log} 2>&1"


rule describe_pipeline:
    input:
        card=lambda wildcards: f"{FILES.model_folder('system', wildcards.system)}/card.json",
        cards=lambda wildcards: FILES.cards_of_system(wildcards.system),
    output:
        pipeline=out("pipeline/{system}.json"),
    log:
        out("logs/describe_pipeline/{system}.log"),
    benchmark:
        out("benchmarks/describe_pipeline/{system}.tsv")
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
        settings=lambda wildcards: digest(settings_on_the_way(CONFIG, wildcards.system)),
        code=fingerprint("describe_pipeline"),
    message:
        "Describing the way of a scan to the answer of system {wildcards.system}"
    shell:
        "lungline describe-pipeline {output.pipeline:q} --config {params.config:q} --system {wildcards.system}"
        " {params.models} > {log} 2>&1"


rule predict_cancer:
    input:
        manifest=ancient(FILES.manifest),
        weights=lambda wildcards: f"{FILES.model_folder('system', wildcards.system)}/weights.safetensors",
        card=lambda wildcards: f"{FILES.model_folder('system', wildcards.system)}/card.json",
        inputs=lambda wildcards: FILES.inputs_of(wildcards.system, STUDY.patients),
    output:
        scores=out("predict_cancer/{system}.csv"),
    log:
        out("logs/predict_cancer/{system}.log"),
    benchmark:
        out("benchmarks/predict_cancer/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: CONFIG.training_threads.train_system
    resources:
        mem_mb=system_memory(),
        runtime=120,
        gpu=gpu(),
        device=CONFIG.device,
    params:
        model=lambda wildcards: PLACES.model_folder("system", wildcards.system),
        inputs=lambda wildcards: PLACES.read_by(wildcards.system),
        code=fingerprint("predict_cancer"),
    message:
        "Scoring every patient with system {wildcards.system}"
    shell:
        "lungline predict-cancer {output.scores:q} --model {params.model:q} --scans {input.manifest:q}"
        " --inputs {params.inputs:q} --device {resources.device} > {log} 2>&1"


rule collect_predictions:
    input:
        manifest=ancient(FILES.manifest),
        scores=out("predict_cancer/{system}.csv"),
    output:
        predictions=report(
            out("collect_predictions/{system}.csv"),
            caption="../report/predictions.rst",
            category="Predictions",
            labels={"system": "{system}"},
        ),
    log:
        out("logs/collect_predictions/{system}.log"),
    benchmark:
        out("benchmarks/collect_predictions/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        rows=STUDY.rows_digest(STUDY.rows, "scan", "dataset", "split", "label"),
        code=fingerprint("collect_predictions"),
    message:
        "Answering or naming every scan of the manifest, system {wildcards.system}"
    shell:
        "lungline collect-predictions {output.predictions:q} --scans {input.manifest:q} --predictions {input.scores:q}"
        " --system {wildcards.system} > {log} 2>&1"


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
        "cp {input.predictions:q} {output.predictions:q} > {log} 2>&1"
