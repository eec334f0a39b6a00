# From annotated nodules to a nodule probability a voxel: three U-Nets, one an axis (paper, section 4.2).
# The sheet and the annotations are `ancient`: a new row re-runs its own scan, by `nodules` and `rows`, not all.


rule draw_nodule_mask:
    input:
        cache=out("cache_volume/{scan}.h5"),
        annotations=ancient(annotations() or []),
        outlines=lambda wildcards: beside_inserted(wildcards.scan, ".h5") if INSERTED else [],
    output:
        mask=out("draw_nodule_mask/{scan}.h5"),
    log:
        out("logs/draw_nodule_mask/{scan}.log"),
    benchmark:
        out("benchmarks/draw_nodule_mask/{scan}.tsv")
    priority: 6
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=scan_memory(1500),
        runtime=10,
    params:
        nodules=lambda wildcards: nodules_digest([wildcards.scan]),
        outlines=lambda wildcards, input: options(outlines=input.outlines),
        code=fingerprint("draw_nodule_mask"),
    message:
        "Drawing the annotated nodules of {wildcards.scan}"
    shell:
        "lungline draw-nodule-mask {input.cache:q} {input.annotations:q} {output.mask:q} --scan {wildcards.scan}"
        " {params.outlines} > {log} 2>&1"


rule check_annotations:
    input:
        annotations=ancient(annotations() or []),
        caches=out_of("cache_volume/{scan}.h5", scans_with_annotations()),
    output:
        warnings=out("check_annotations.csv"),
    log:
        out("logs/check_annotations.log"),
    benchmark:
        out("benchmarks/check_annotations.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        caches=lambda wildcards, input: os.path.dirname(input.caches[0]),
        nodules=nodules_digest(scans_with_annotations()),
        code=fingerprint("check_annotations"),
    message:
        "Looking for annotations outside their scans"
    shell:
        "lungline check-annotations {output.warnings:q} {input.annotations:q} --caches {params.caches:q} > {log} 2>&1"


rule train_unet:
    input:
        sheet=ancient(lambda wildcards: sheet_of(wildcards.detector)),
        caches=lambda wildcards: out_of("cache_volume/{scan}.h5", training_scans(wildcards.detector)),
        masks=lambda wildcards: out_of("draw_nodule_mask/{scan}.h5", training_scans(wildcards.detector)),
        checked=ancient(out("check_leakage.csv")),
    output:
        weights=out("train_unet/{detector}/{axis}/weights.safetensors"),
        card=out("train_unet/{detector}/{axis}/card.json"),
        curve=report(
            out("train_unet/{detector}/{axis}/learning_curve.csv"),
            caption="../report/learning_curve.rst",
            category="Training",
            labels={"model": "{detector}", "axis": "{axis}"},
        ),
    log:
        out("logs/train_unet/{detector}/{axis}.log"),
    benchmark:
        out("benchmarks/train_unet/{detector}/{axis}.tsv")
    priority: 7
    conda:
        "../envs/lungline.yaml"
    threads: config["training_threads"]["train_unet"] * config["training_processes"]
    resources:
        mem_mb=memory(6000 * config["training_processes"]),
        runtime=2880,
        gpu=gpu() * config["training_processes"],
        device=config["device"],
        launcher=launcher(config["training_processes"]),
    params:
        folder=lambda wildcards, output: os.path.dirname(output.weights),
        caches=lambda wildcards, input: os.path.dirname(input.caches[0]),
        masks=lambda wildcards, input: os.path.dirname(input.masks[0]),
        checkpoints=out("checkpoints"),
        detector=lambda wildcards: json.dumps(networks_of(wildcards.detector), sort_keys=True),
        seed=lookup(within=config, dpath="seed"),
        rows=lambda wildcards: rows_digest(
            training_scans(wildcards.detector), "scan", "split", rows=rows_of(wildcards.detector)
        ),
        precision=lookup(within=config, dpath="precision"),
        code=fingerprint("train_unet"),
    message:
        "Training the U-Net of detector {wildcards.detector} along {wildcards.axis}"
    shell:
        "{resources.launcher} train-unet {params.folder:q} --axis {wildcards.axis} --detector {params.detector:q}"
        " --scans {input.sheet:q} --caches {params.caches:q} --masks {params.masks:q}"
        " --checkpoints {params.checkpoints:q} --seed {params.seed} --device {resources.device}"
        " --precision {params.precision} > {log} 2>&1"


# Starting PyTorch costs more than searching a small chest, so on a CPU a job may take many scans.
for job, (detectors, scans) in jobs_of("detect", scans_to_detect, config["detect"]["jobs"]).items():

    rule:
        name:
            job
        input:
            caches=out_of("cache_volume/{scan}.h5", scans),
            networks=lambda wildcards: [network(wildcards.detector, axis) for axis in AXES],
        output:
            detected=out_of("detect/{{detector}}/{scan}.h5", scans),
        log:
            out(f"logs/detect/{{detector}}/{job if len(scans) > 1 else scans[0]}.log"),
        benchmark:
            out(f"benchmarks/detect/{{detector}}/{job if len(scans) > 1 else scans[0]}.tsv")
        wildcard_constraints:
            detector=detectors,
        conda:
            "../envs/lungline.yaml"
        threads: 1
        resources:
            mem_mb=scan_memory(6000, scans),
            runtime=30 * len(scans),
            gpu=gpu(),
            device=config["device"],
        params:
            caches=lambda wildcards, input: os.path.dirname(input.caches[0]),
            detected=lambda wildcards, output: os.path.dirname(output.detected[0]),
            scans=lambda wildcards, output: [Path(path).stem for path in output.detected],
            told=lambda wildcards, output: told(output.detected),
            folder=lambda wildcards: model_folder("detector", wildcards.detector),
            precision=lookup(within=config, dpath="precision"),
            code=fingerprint("detect"),
        message:
            "Looking for nodules with detector {wildcards.detector} in {params.told}"
        shell:
            "lungline detect {params.caches:q} {params.detected:q} --scans {params.scans:q}"
            " --detector {params.folder:q} --device {resources.device} --precision {params.precision} > {log} 2>&1"
