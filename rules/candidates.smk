# From nodule probabilities to the cubes that the cancer network reads (paper, section 4.2).
# Starting Python costs more than looking through a small chest, so here, too, a job may take many scans.


for batch in FILES.batches("extract_candidates"):

    rule:
        name:
            batch.rule
        input:
            detected=FILES.of(f"detect/{batch.detector}/{{scan}}.h5", batch.scans),
        output:
            candidates=FILES.of(f"extract_candidates/{batch.detector}/{{scan}}.csv", batch.scans),
            labels=FILES.candidate_labels_of(batch.detector, batch.scans),
        log:
            out(f"logs/extract_candidates/{batch.detector}/{batch.log}.log"),
        benchmark:
            out(f"benchmarks/extract_candidates/{batch.detector}/{batch.log}.tsv")
        wildcard_constraints:
            detector=batch.constraint,
        conda:
            "../envs/lungline.yaml"
        resources:
            mem_mb=memory_by_voxels(1500, batch.scans),
            runtime=10 * len(batch.scans),
        params:
            detected=folder_of("detected"),
            output=folder_of("candidates"),
            scans=of_batch(batch, lambda _, scans: scans),
            settings=of_batch(batch, lambda name, _: settings("extract_candidates", detector=entry_name(name))),
            code=fingerprint("extract_candidates"),
        message:
            f"Picking the strongest candidates of detector {batch.description}"
        shell:
            "lungline extract-candidates {params.detected:q} {params.output:q} --scans {params.scans:q}"
            " {params.settings} > {log:q} 2>&1"


rule train_fpr:
    input:
        manifest=ancient(lambda wildcards: FILES.manifest_of(wildcards.detector)),
        annotations=ancient(FILES.annotations or []),
        caches=lambda wildcards: FILES.of("cache_volume/{scan}.h5", STUDY.fpr_cases(wildcards.detector)),
        detected=lambda wildcards: FILES.of(
            f"detect/{wildcards.detector}/{{scan}}.h5", STUDY.fpr_cases(wildcards.detector)
        ),
        candidates=lambda wildcards: FILES.of(
            f"extract_candidates/{wildcards.detector}/{{scan}}.csv", STUDY.fpr_cases(wildcards.detector)
        ),
        init_from=lambda wildcards: FILES.initial_network_of(wildcards.detector, "fpr"),
    output:
        weights=out("train_unet/{detector}/fpr/weights.safetensors"),
        card=out("train_unet/{detector}/fpr/card.json"),
        curve=report(
            out("train_unet/{detector}/fpr/learning_curve.csv"),
            caption="../report/learning_curve.rst",
            category="Training",
            labels={"model": "{detector}", "axis": "fpr"},
        ),
    log:
        out("logs/train_unet/{detector}/fpr.log"),
    benchmark:
        out("benchmarks/train_unet/{detector}/fpr.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: CONFIG.training_threads.train_classifier
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=gpu(),
        device=CONFIG.device,
    params:
        config=PLACES.config,
        folder=folder_of("weights"),
        caches=folder_of("caches"),
        detected=folder_of("detected"),
        candidates=folder_of("candidates"),
        checkpoints=PLACES.out("checkpoints"),
        cost=PLACES.out("benchmarks/train_unet/{detector}/fpr.json"),
        entry=lambda wildcards: entry_name(wildcards.detector),
        init_from=lambda wildcards, input: options(init_from=[os.path.dirname(path) for path in input.init_from]),
        settings_digest=lambda wildcards: FILES.fpr_digest(wildcards.detector),
        nodules_digest=lambda wildcards: STUDY.nodules_digest(STUDY.fpr_cases(wildcards.detector)),
        rows_digest=lambda wildcards: STUDY.rows_digest(
            STUDY.fpr_cases(wildcards.detector), "scan", "split", rows=STUDY.rows_of(wildcards.detector)
        ),
        code=fingerprint("train_fpr"),
    message:
        "Training the FPR network of detector {wildcards.detector}"
    shell:
        "lungline train-fpr {params.folder:q} {input.annotations:q} --config {params.config:q}"
        " --detector {params.entry:q} --manifest {input.manifest:q} --caches {params.caches:q} --detected {params.detected:q}"
        " --candidates {params.candidates:q} {params.init_from} --checkpoints {params.checkpoints:q} --cost {params.cost:q}"
        " --device {resources.device:q} > {log:q} 2>&1"


for batch in FILES.batches("rank_candidates"):

    rule:
        name:
            batch.rule
        input:
            caches=FILES.of("cache_volume/{scan}.h5", batch.scans),
            detected=FILES.of(f"detect/{batch.detector}/{{scan}}.h5", batch.scans),
            candidates=FILES.of(f"extract_candidates/{batch.detector}/{{scan}}.csv", batch.scans),
            network=of_batch(batch, lambda name, _: FILES.network(name, "fpr")),
        output:
            ranked=FILES.of(f"rank_candidates/{batch.detector}/{{scan}}.csv", batch.scans),
        log:
            out(f"logs/rank_candidates/{batch.detector}/{batch.log}.log"),
        benchmark:
            out(f"benchmarks/rank_candidates/{batch.detector}/{batch.log}.tsv")
        wildcard_constraints:
            detector=batch.constraint,
        conda:
            "../envs/lungline.yaml"
        resources:
            mem_mb=memory_by_voxels(4000, batch.scans),
            runtime=10 * len(batch.scans),
            gpu=gpu(),
            device=CONFIG.device,
        params:
            candidates=folder_of("candidates"),
            output=folder_of("ranked"),
            caches=folder_of("caches"),
            detected=folder_of("detected"),
            scans=of_batch(batch, lambda _, scans: scans),
            fpr=folder_of("network"),
            settings=of_batch(batch, lambda name, _: settings("rank_candidates", detector=entry_name(name))),
            code=fingerprint("rank_candidates"),
        message:
            f"Ranking the candidates of detector {batch.description}"
        shell:
            "lungline rank-candidates {params.candidates:q} {params.output:q} --scans {params.scans:q}"
            " --caches {params.caches:q} --detected {params.detected:q} --fpr {params.fpr:q}"
            " {params.settings} --device {resources.device:q} > {log:q} 2>&1"


for batch in FILES.batches("crop_patches"):

    rule:
        name:
            batch.rule
        input:
            caches=FILES.of("cache_volume/{scan}.h5", batch.scans),
            detected=FILES.of(f"detect/{batch.detector}/{{scan}}.h5", batch.scans),
            candidates=of_batch(batch, FILES.candidates_of),
            labels=FILES.candidate_labels_of(batch.detector, batch.scans),
        output:
            patches=FILES.of(f"crop_patches/{batch.detector}/{{scan}}.h5", batch.scans),
        log:
            out(f"logs/crop_patches/{batch.detector}/{batch.log}.log"),
        benchmark:
            out(f"benchmarks/crop_patches/{batch.detector}/{batch.log}.tsv")
        wildcard_constraints:
            detector=batch.constraint,
        conda:
            "../envs/lungline.yaml"
        resources:
            mem_mb=memory_by_voxels(1500, batch.scans),
            runtime=10 * len(batch.scans),
        params:
            output=folder_of("patches"),
            caches=folder_of("caches"),
            detected=folder_of("detected"),
            candidates=folder_of("candidates"),
            labels=folder_of("labels"),
            scans=of_batch(batch, lambda _, scans: scans),
            settings=settings("crop_patches"),
            code=fingerprint("crop_patches"),
        message:
            f"Cropping and measuring the candidates of detector {batch.description}"
        shell:
            "lungline crop-patches {params.output:q} --scans {params.scans:q}"
            " --caches {params.caches:q} --detected {params.detected:q} --candidates {params.candidates:q}"
            " --labels {params.labels:q} {params.settings} > {log:q} 2>&1"
