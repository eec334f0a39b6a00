# One scan, from the scanner's files to what the networks read (paper, section 3).
# Priorities rise along the chain, so that scans are finished one by one and the U-Nets can start early.


rule ingest:
    input:
        drawn=drawn,
    output:
        ct=scratch("ingest/{scan}.h5"),
        identity=out("private/identity/{scan}.json"),
    log:
        out("logs/ingest/{scan}.log"),
    benchmark:
        out("benchmarks/ingest/{scan}.tsv")
    priority: 2
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=scan_memory(2100),
        runtime=10,
    params:
        raw=raw,
        state=state_of_raw,
        source=lambda wildcards: SCANS[wildcards.scan].source,
        code=fingerprint("ingest"),
    message:
        "Reading {wildcards.scan}"
    shell:
        "lungline ingest {params.raw:q} {output.ct:q} --source {params.source}"
        " --identity {output.identity:q} > {log} 2>&1"


rule resample:
    input:
        ct=out("ingest/{scan}.h5"),
    output:
        ct=scratch("resample/{scan}.h5"),
    log:
        out("logs/resample/{scan}.log"),
    benchmark:
        out("benchmarks/resample/{scan}.tsv")
    priority: 3
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=scan_memory(3000),
        runtime=10,
    params:
        spacing_mm=lookup(within=config, dpath="resample/spacing_mm"),
        code=fingerprint("resample"),
    message:
        "Resampling {wildcards.scan} to {params.spacing_mm} mm"
    shell:
        "lungline resample {input.ct:q} {output.ct:q} --spacing-mm {params.spacing_mm} > {log} 2>&1"


rule segment_lungs:
    input:
        ct=out("resample/{scan}.h5"),
    output:
        lungs=out("segment_lungs/{scan}.h5"),
    log:
        out("logs/segment_lungs/{scan}.log"),
    benchmark:
        out("benchmarks/segment_lungs/{scan}.tsv")
    priority: 4
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=scan_memory(3000),
        runtime=10,
    params:
        threshold_hu=lookup(within=config, dpath="segment_lungs/threshold_hu"),
        margin_mm=lookup(within=config, dpath="segment_lungs/margin_mm"),
        plausible_ml=plausible_ml(),
        code=fingerprint("segment_lungs"),
    message:
        "Finding the lungs of {wildcards.scan}"
    shell:
        "lungline segment-lungs {input.ct:q} {output.lungs:q} --threshold-hu {params.threshold_hu}"
        " --margin-mm {params.margin_mm} --plausible-ml-low {params.plausible_ml[0]}"
        " --plausible-ml-high {params.plausible_ml[1]} > {log} 2>&1"


rule cache_volume:
    input:
        ct=out("resample/{scan}.h5"),
        lungs=out("segment_lungs/{scan}.h5"),
    output:
        cache=out("cache_volume/{scan}.h5"),
    log:
        out("logs/cache_volume/{scan}.log"),
    benchmark:
        out("benchmarks/cache_volume/{scan}.tsv")
    priority: 5
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=scan_memory(3000),
        runtime=10,
    params:
        region=lookup(within=config, dpath="cache_volume/region"),
        outside_hu=lookup(within=config, dpath="cache_volume/outside_hu"),
        compression=lookup(within=config, dpath="cache_volume/compression"),
        code=fingerprint("cache_volume"),
    message:
        "Caching what the networks read of {wildcards.scan}"
    shell:
        "lungline cache-volume {input.ct:q} {input.lungs:q} {output.cache:q} --region {params.region}"
        " --outside-hu {params.outside_hu} --compression {params.compression} > {log} 2>&1"
