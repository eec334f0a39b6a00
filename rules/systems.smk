# One answer a patient. Method 2: Table 2 on candidates, their maximum, Eq. 1. Method 1: Table 2 on the whole volume.


rule resize_volume:
    input:
        cache=out("cache_volume/{scan}.h5"),
    output:
        volume=out("resize_volume/{size}/{scan}.h5"),
    log:
        out("logs/resize_volume/{size}/{scan}.log"),
    benchmark:
        out("benchmarks/resize_volume/{size}/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: 1
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
        sheet=ancient(SHEET),
        inputs=lambda wildcards: (
            []
            if kind_of(wildcards.system) == "constant"
            else inputs_of(wildcards.system, scans_to_teach(wildcards.system))
        ),
        nodules=lambda wildcards: out("inserted/nodules.csv") if from_nodules(wildcards.system) else [],
        start=lambda wildcards: start_of(wildcards.system),
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
    threads: config["training_threads"]["train_system"]
    resources:
        mem_mb=memory(lambda wildcards: system_mem_mb(wildcards.system)),
        runtime=2880,
        gpu=gpu(),
        device=config["device"],
    params:
        folder=lambda wildcards, output: os.path.dirname(output.weights),
        inputs=lambda wildcards: read_by(wildcards.system),
        start=lambda wildcards, input: options(
            start=[os.path.dirname(path) for path in input.start], nodules=input.nodules
        ),
        checkpoints=out("checkpoints"),
        system=lambda wildcards: json.dumps(config["systems"][wildcards.system], sort_keys=True),
        seed=lookup(within=config, dpath="seed"),
        rows=lambda wildcards: rows_digest(scans_to_teach(wildcards.system), "scan", "split", "label"),
        precision=lookup(within=config, dpath="precision"),
        code=fingerprint("train_system"),
    message:
        "Training system {wildcards.system}"
    shell:
        "lungline train-system {params.folder:q} --system {params.system:q} --scans {input.sheet:q}"
        " --inputs {params.inputs:q} {params.start} --checkpoints {params.checkpoints:q} --seed {params.seed}"
        " --device {resources.device} --precision {params.precision} > {log} 2>&1"


rule describe_pipeline:
    input:
        card=lambda wildcards: f"{model_folder('system', wildcards.system)}/card.json",
        cards=lambda wildcards: cards_of_system(wildcards.system),
    output:
        pipeline=out("pipeline/{system}.json"),
    log:
        out("logs/describe_pipeline/{system}.log"),
    benchmark:
        out("benchmarks/describe_pipeline/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=5,
    params:
        settings=lambda wildcards: json.dumps(settings_of(wildcards.system), sort_keys=True),
        options=lambda wildcards, input: options(
            system=wildcards.system,
            model=os.path.dirname(input.card),
            detector=[os.path.dirname(os.path.dirname(path)) for path in input.cards[:1]],
        ),
        code=fingerprint("describe_pipeline"),
    message:
        "Describing the way of a scan to the answer of system {wildcards.system}"
    shell:
        "lungline describe-pipeline {output.pipeline:q} --settings {params.settings:q} {params.options} > {log} 2>&1"


rule predict_cancer:
    input:
        sheet=ancient(SHEET),
        weights=lambda wildcards: f"{model_folder('system', wildcards.system)}/weights.safetensors",
        card=lambda wildcards: f"{model_folder('system', wildcards.system)}/card.json",
        inputs=lambda wildcards: inputs_of(wildcards.system, scans_to_score()),
    output:
        scores=out("predict_cancer/{system}.csv"),
    log:
        out("logs/predict_cancer/{system}.log"),
    benchmark:
        out("benchmarks/predict_cancer/{system}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: config["training_threads"]["train_system"]
    resources:
        mem_mb=memory(lambda wildcards: system_mem_mb(wildcards.system)),
        runtime=120,
        gpu=gpu(),
        device=config["device"],
    params:
        model=lambda wildcards: model_folder("system", wildcards.system),
        inputs=lambda wildcards: read_by(wildcards.system),
        code=fingerprint("predict_cancer"),
    message:
        "Scoring every patient with system {wildcards.system}"
    shell:
        "lungline predict-cancer {output.scores:q} --model {params.model:q} --scans {input.sheet:q}"
        " --inputs {params.inputs:q} --device {resources.device} > {log} 2>&1"


rule collect_predictions:
    input:
        sheet=ancient(SHEET),
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
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        rows=rows_digest(SCANS, "scan", "dataset", "split", "label"),
        code=fingerprint("collect_predictions"),
    message:
        "Answering or naming every scan of the sheet, system {wildcards.system}"
    shell:
        "lungline collect-predictions {output.predictions:q} --scans {input.sheet:q} --predictions {input.scores:q}"
        " --system {wildcards.system} > {log} 2>&1"


rule first_predictions:
    input:
        predictions=out(f"collect_predictions/{config['run'][0]}.csv"),
    output:
        predictions=out("predictions.csv"),
    log:
        out("logs/first_predictions.log"),
    localrule: True
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=memory(100),
        runtime=5,
    message:
        "Writing predictions.csv"
    shell:
        "cp {input.predictions:q} {output.predictions:q} > {log} 2>&1"
