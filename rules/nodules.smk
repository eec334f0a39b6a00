# From annotated nodules to a nodule probability per voxel: three U-Nets, one per axis (paper, section 4.2).
# Manifest and annotations are `ancient`: a new row re-runs its own scan, by `nodules` and `rows`, not all.


rule rasterise_nodules:
    input:
        **FILES.step_inputs("rasterise_nodules"),
        annotations=ancient(FILES.annotations or []),
        segmentations=lambda wildcards: FILES.beside_implanted(wildcards.scan, ".h5") if IMPLANTED else [],
    output:
        mask=out("rasterise_nodules/{scan}.h5"),
    log:
        out("logs/rasterise_nodules/{scan}.log"),
    benchmark:
        out("benchmarks/rasterise_nodules/{scan}.tsv")
    priority: 6
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory_by_voxels(1500),
        runtime=10,
    params:
        nodules_digest=lambda wildcards: STUDY.nodules_digest([wildcards.scan]),
        segmentations=lambda wildcards, input: options(segmentations=input.segmentations),
        code=fingerprint("rasterise_nodules"),
    message:
        "Rasterising the annotated nodules of {wildcards.scan}"
    shell:
        "lungline rasterise-nodules {input.cache:q} {input.annotations:q} {output.mask:q} --scan {wildcards.scan:q}"
        " {params.segmentations} > {log:q} 2>&1"


rule check_annotations:
    input:
        annotations=ancient(FILES.annotations or []),
        caches=FILES.of("cache_volume/{scan}.h5", STUDY.annotated_scans),
    output:
        warnings=out("check_annotations.csv"),
    log:
        out("logs/check_annotations.log"),
    benchmark:
        out("benchmarks/check_annotations.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        caches=folder_of("caches"),
        nodules_digest=STUDY.nodules_digest(STUDY.annotated_scans),
        code=fingerprint("check_annotations"),
    message:
        "Looking for annotations outside their scans"
    shell:
        "lungline check-annotations {output.warnings:q} {input.annotations:q} --caches {params.caches:q} > {log:q} 2>&1"


rule train_unet:
    input:
        manifest=ancient(lambda wildcards: FILES.manifest_of(wildcards.detector)),
        caches=lambda wildcards: FILES.of("cache_volume/{scan}.h5", STUDY.detector_cases(wildcards.detector)),
        masks=lambda wildcards: FILES.of("rasterise_nodules/{scan}.h5", STUDY.detector_cases(wildcards.detector)),
        init_from=lambda wildcards: FILES.initial_network_of(wildcards.detector, wildcards.axis),
        leakage_report=ancient(out("check_leakage.csv")),
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
    threads: CONFIG.training_threads.train_unet * CONFIG.training_processes
    resources:
        mem_mb=memory(6000 * CONFIG.training_processes),
        runtime=2880,
        gpu=gpu() * CONFIG.training_processes,
        device=CONFIG.device,
        launcher=launcher(CONFIG.training_processes),
    params:
        config=PLACES.config,
        folder=folder_of("weights"),
        caches=folder_of("caches"),
        masks=folder_of("masks"),
        checkpoints=PLACES.out("checkpoints"),
        cost=PLACES.out("benchmarks/train_unet/{detector}/{axis}.json"),
        entry=lambda wildcards: entry_name(wildcards.detector),
        init_from=lambda wildcards, input: options(init_from=[os.path.dirname(path) for path in input.init_from]),
        settings_digest=lambda wildcards: FILES.unet_digest(wildcards.detector),
        rows_digest=lambda wildcards: STUDY.rows_digest(
            STUDY.detector_cases(wildcards.detector), "scan", "split", rows=STUDY.rows_of(wildcards.detector)
        ),
        code=fingerprint("train_unet"),
    message:
        "Training the U-Net of detector {wildcards.detector} along {wildcards.axis}"
    shell:
        "{resources.launcher} train-unet {params.folder:q} --axis {wildcards.axis:q} --config {params.config:q}"
        " --detector {params.entry:q} --manifest {input.manifest:q} --caches {params.caches:q} --masks {params.masks:q}"
        " {params.init_from} --checkpoints {params.checkpoints:q} --cost {params.cost:q} --device {resources.device:q}"
        " > {log:q} 2>&1"


# Starting PyTorch costs more than searching a small chest, so on a CPU a job may take many scans.
for batch in FILES.batches("detect"):

    rule:
        name:
            batch.rule
        input:
            caches=FILES.of("cache_volume/{scan}.h5", batch.scans),
            networks=of_batch(batch, lambda name, _: FILES.networks(name)),
        output:
            detected=FILES.of(f"detect/{batch.detector}/{{scan}}.h5", batch.scans),
        log:
            out(f"logs/detect/{batch.detector}/{batch.log}.log"),
        benchmark:
            out(f"benchmarks/detect/{batch.detector}/{batch.log}.tsv")
        wildcard_constraints:
            detector=batch.constraint,
        conda:
            "../envs/lungline.yaml"
        resources:
            mem_mb=memory_by_voxels(6000, batch.scans),
            runtime=30 * len(batch.scans),
            gpu=gpu(),
            device=CONFIG.device,
        params:
            caches=folder_of("caches"),
            detected=folder_of("detected"),
            scans=of_batch(batch, lambda _, scans: scans),
            folder=of_batch(batch, lambda name, _: PLACES.model_folder("detector", name)),
            settings=of_batch(batch, lambda name, _: settings("detect", detector=entry_name(name))),
            code=fingerprint("detect"),
        message:
            f"Looking for nodules with detector {batch.description}"
        shell:
            "lungline detect {params.caches:q} {params.detected:q} --scans {params.scans:q}"
            " --detector {params.folder:q} --device {resources.device:q} {params.settings} > {log:q} 2>&1"
