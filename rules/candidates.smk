# From nodule probabilities to the cubes that the cancer network reads (paper, section 4.2).


# Starting Python costs more than looking through a small chest, so here, too, a job may take many scans.
for job, (detectors, scans) in jobs_of("extract_candidates", scans_to_detect, config["detect"]["jobs"]).items():

    rule:
        name:
            job
        input:
            detected=out_of("detect/{{detector}}/{scan}.h5", scans),
        output:
            candidates=out_of("extract_candidates/{{detector}}/{scan}.csv", scans),
            labels=out_of("extract_candidates/{{detector}}/{scan}.h5", scans),
        log:
            out(f"logs/extract_candidates/{{detector}}/{job if len(scans) > 1 else scans[0]}.log"),
        benchmark:
            out(f"benchmarks/extract_candidates/{{detector}}/{job if len(scans) > 1 else scans[0]}.tsv")
        wildcard_constraints:
            detector=detectors,
        conda:
            "../envs/lungline.yaml"
        threads: 1
        resources:
            mem_mb=scan_memory(1500, scans),
            runtime=10 * len(scans),
        params:
            folder=lambda wildcards, input: os.path.dirname(input.detected[0]),
            output=lambda wildcards, output: os.path.dirname(output.candidates[0]),
            scans=lambda wildcards, output: [Path(path).stem for path in output.candidates],
            told=lambda wildcards, output: told(output.candidates),
            options=lambda wildcards: options(**candidate_settings(wildcards.detector)),
            code=fingerprint("extract_candidates"),
        message:
            "Picking the strongest candidates of detector {wildcards.detector} in {params.told}"
        shell:
            "lungline extract-candidates {params.folder:q} {params.output:q} --scans {params.scans:q}"
            " {params.options} > {log} 2>&1"


rule train_reduction:
    input:
        sheet=ancient(lambda wildcards: sheet_of(wildcards.detector)),
        annotations=ancient(annotations() or []),
        caches=lambda wildcards: out_of("cache_volume/{scan}.h5", scans_to_reduce(wildcards.detector)),
        detected=lambda wildcards: out_of(
            f"detect/{wildcards.detector}/{{scan}}.h5", scans_to_reduce(wildcards.detector)
        ),
        candidates=lambda wildcards: out_of(
            f"extract_candidates/{wildcards.detector}/{{scan}}.csv", scans_to_reduce(wildcards.detector)
        ),
    output:
        weights=out("train_unet/{detector}/reduction/weights.safetensors"),
        card=out("train_unet/{detector}/reduction/card.json"),
        curve=report(
            out("train_unet/{detector}/reduction/learning_curve.csv"),
            caption="../report/learning_curve.rst",
            category="Training",
            labels={"model": "{detector}", "axis": "reduction"},
        ),
    log:
        out("logs/train_unet/{detector}/reduction.log"),
    benchmark:
        out("benchmarks/train_unet/{detector}/reduction.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: config["training_threads"]["train_system"]
    resources:
        mem_mb=memory(8000),
        runtime=2880,
        gpu=gpu(),
        device=config["device"],
    params:
        folder=lambda wildcards, output: os.path.dirname(output.weights),
        caches=lambda wildcards, input: os.path.dirname(input.caches[0]),
        detected=lambda wildcards, input: os.path.dirname(input.detected[0]),
        candidates=lambda wildcards, input: os.path.dirname(input.candidates[0]),
        checkpoints=out("checkpoints"),
        detector=lambda wildcards: json.dumps(entry_of(wildcards.detector), sort_keys=True),
        seed=lookup(within=config, dpath="seed"),
        nodules=lambda wildcards: nodules_digest(scans_to_reduce(wildcards.detector)),
        rows=lambda wildcards: rows_digest(
            scans_to_reduce(wildcards.detector), "scan", "split", rows=rows_of(wildcards.detector)
        ),
        precision=lookup(within=config, dpath="precision"),
        code=fingerprint("train_reduction"),
    message:
        "Training the reduction network of detector {wildcards.detector}"
    shell:
        "lungline train-reduction {params.folder:q} {input.annotations:q} --detector {params.detector:q}"
        " --scans {input.sheet:q} --caches {params.caches:q} --detected {params.detected:q}"
        " --candidates {params.candidates:q} --checkpoints {params.checkpoints:q} --seed {params.seed}"
        " --device {resources.device} --precision {params.precision} > {log} 2>&1"


for job, (detectors, scans) in jobs_of("rank_candidates", scans_to_answer, config["detect"]["jobs"]).items():

    rule:
        name:
            job
        input:
            caches=out_of("cache_volume/{scan}.h5", scans),
            detected=out_of("detect/{{detector}}/{scan}.h5", scans),
            candidates=out_of("extract_candidates/{{detector}}/{scan}.csv", scans),
            network=lambda wildcards: network(wildcards.detector, "reduction"),
        output:
            candidates=out_of("rank_candidates/{{detector}}/{scan}.csv", scans),
        log:
            out(f"logs/rank_candidates/{{detector}}/{job if len(scans) > 1 else scans[0]}.log"),
        benchmark:
            out(f"benchmarks/rank_candidates/{{detector}}/{job if len(scans) > 1 else scans[0]}.tsv")
        wildcard_constraints:
            detector=detectors,
        conda:
            "../envs/lungline.yaml"
        threads: 1
        resources:
            mem_mb=scan_memory(4000, scans),
            runtime=10 * len(scans),
            gpu=gpu(),
            device=config["device"],
        params:
            folder=lambda wildcards, input: os.path.dirname(input.candidates[0]),
            output=lambda wildcards, output: os.path.dirname(output.candidates[0]),
            caches=lambda wildcards, input: os.path.dirname(input.caches[0]),
            detected=lambda wildcards, input: os.path.dirname(input.detected[0]),
            scans=lambda wildcards, output: [Path(path).stem for path in output.candidates],
            told=lambda wildcards, output: told(output.candidates),
            reduction=lambda wildcards, input: os.path.dirname(input.network),
            options=lambda wildcards: options(**ranking_settings(wildcards.detector)),
            code=fingerprint("rank_candidates"),
        message:
            "Ranking the candidates of detector {wildcards.detector} in {params.told}"
        shell:
            "lungline rank-candidates {params.folder:q} {params.output:q} --scans {params.scans:q}"
            " --caches {params.caches:q} --detected {params.detected:q} --reduction {params.reduction:q}"
            " {params.options} --device {resources.device} > {log} 2>&1"


for job, (detectors, scans) in jobs_of("crop_patches", scans_with_cubes, config["detect"]["jobs"]).items():

    rule:
        name:
            job
        input:
            volumes=out_of("resample/{scan}.h5", scans),
            caches=out_of("cache_volume/{scan}.h5", scans),
            detected=out_of("detect/{{detector}}/{scan}.h5", scans),
            candidates=lambda wildcards, scans=scans: candidates_of(
                wildcards.detector, [scan.format(**dict(wildcards.items())) for scan in scans]
            ),
            labels=out_of("extract_candidates/{{detector}}/{scan}.h5", scans),
        output:
            patches=out_of("crop_patches/{{detector}}/{scan}.h5", scans),
        log:
            out(f"logs/crop_patches/{{detector}}/{job if len(scans) > 1 else scans[0]}.log"),
        benchmark:
            out(f"benchmarks/crop_patches/{{detector}}/{job if len(scans) > 1 else scans[0]}.tsv")
        wildcard_constraints:
            detector=detectors,
        conda:
            "../envs/lungline.yaml"
        threads: 1
        resources:
            mem_mb=scan_memory(1500, scans),
            runtime=10 * len(scans),
        params:
            output=lambda wildcards, output: os.path.dirname(output.patches[0]),
            volumes=lambda wildcards, input: os.path.dirname(input.volumes[0]),
            labels=lambda wildcards, input: os.path.dirname(input.labels[0]),
            caches=lambda wildcards, input: os.path.dirname(input.caches[0]),
            detected=lambda wildcards, input: os.path.dirname(input.detected[0]),
            candidates=lambda wildcards, input: os.path.dirname(input.candidates[0]),
            scans=lambda wildcards, output: [Path(path).stem for path in output.patches],
            told=lambda wildcards, output: told(output.patches),
            at_most=lookup(within=config, dpath="extract_candidates/count"),
            size=lookup(within=config, dpath="crop_patches/size"),
            code=fingerprint("crop_patches"),
        message:
            "Cropping and measuring the candidates of detector {wildcards.detector} in {params.told}"
        shell:
            "lungline crop-patches {params.output:q} --scans {params.scans:q} --volumes {params.volumes:q}"
            " --caches {params.caches:q} --detected {params.detected:q} --candidates {params.candidates:q}"
            " --labels {params.labels:q} --count {params.at_most} --size {params.size} > {log} 2>&1"
