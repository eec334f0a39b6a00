# One scan, from the scanner's files to what the networks read (paper, section 3).
# Priorities rise along the chain, so that scans are finished one by one and the U-Nets can start early.


rule ingest:
    input:
        simulated=[] if FROM_MANIFEST else per_scan(FILES.made_raw),
    output:
        ct=temp_unless_kept("ingest/{scan}.h5"),
        identity=out("private/identity/{scan}.json"),
    log:
        out("logs/ingest/{scan}.log"),
    benchmark:
        out("benchmarks/ingest/{scan}.tsv")
    priority: 2
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory_by_voxels(2100),
        runtime=10,
    params:
        raw=per_scan(PLACES.raw),
        state=lambda wildcards: raw_of(wildcards.scan).digest,
        source=lambda wildcards: STUDY.rows[wildcards.scan].source,
        code=fingerprint("ingest"),
    message:
        "Reading {wildcards.scan}"
    shell:
        "lungline ingest {params.raw:q} {output.ct:q} --source {params.source:q}"
        " --identity {output.identity:q} > {log:q} 2>&1"


rule resample:
    input:
        **FILES.step_inputs("resample"),
    output:
        ct=temp_unless_kept("resample/{scan}.h5"),
    log:
        out("logs/resample/{scan}.log"),
    benchmark:
        out("benchmarks/resample/{scan}.tsv")
    priority: 3
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory_by_voxels(3000),
        runtime=10,
    params:
        settings=settings("resample"),
        code=fingerprint("resample"),
    message:
        "Resampling {wildcards.scan}"
    shell:
        "lungline resample {input.ingested:q} {output.ct:q} {params.settings} > {log:q} 2>&1"


if STUDY.has_masks:

    rule read_masks:
        input:
            **FILES.step_inputs("read_masks"),
            masks=lambda wildcards: list(FILES.masks_of(wildcards.scan).values()),
        output:
            masks=out("read_masks/{scan}.h5"),
        log:
            out("logs/read_masks/{scan}.log"),
        benchmark:
            out("benchmarks/read_masks/{scan}.tsv")
        priority: 3
        conda:
            "../envs/lungline.yaml"
        resources:
            mem_mb=memory_by_voxels(3000),
            runtime=10,
        params:
            masks=lambda wildcards: options(**PLACES.masks_of(wildcards.scan)),
            code=fingerprint("read_masks"),
        message:
            "Reading the given masks of {wildcards.scan}"
        shell:
            "lungline read-masks {input.ingested:q} {output.masks:q} {params.masks} > {log:q} 2>&1"


rule segment_lungs:
    input:
        **FILES.step_inputs("segment_lungs"),
        given=(
            (lambda wildcards: FILES.step_inputs("segment_lungs", scan=wildcards.scan).get("given", []))
            if STUDY.has_masks
            else []
        ),
    output:
        lungs=out("segment_lungs/{scan}.h5"),
    log:
        out("logs/segment_lungs/{scan}.log"),
    benchmark:
        out("benchmarks/segment_lungs/{scan}.tsv")
    priority: 4
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory_by_voxels(3000),
        runtime=10,
    params:
        settings=options(**settings_of(CONFIG, "segment_lungs") | STUDY.plausible_ml()),
        given=(lambda wildcards, input: options(given=input.given)) if STUDY.has_masks else "",
        code=fingerprint("segment_lungs"),
    message:
        "Finding the lungs of {wildcards.scan}"
    shell:
        "lungline segment-lungs {input.volume:q} {output.lungs:q} {params.settings} {params.given} > {log:q} 2>&1"


rule cache_volume:
    input:
        **FILES.step_inputs("cache_volume"),
    output:
        cache=out("cache_volume/{scan}.h5"),
    log:
        out("logs/cache_volume/{scan}.log"),
    benchmark:
        out("benchmarks/cache_volume/{scan}.tsv")
    priority: 5
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory_by_voxels(3000),
        runtime=10,
    params:
        settings=settings("cache_volume"),
        code=fingerprint("cache_volume"),
    message:
        "Masking {wildcards.scan} for the networks"
    shell:
        "lungline cache-volume {input.volume:q} {input.lungs:q} {output.cache:q} {params.settings} > {log:q} 2>&1"
