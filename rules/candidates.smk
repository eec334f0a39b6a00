# From nodule probabilities to the cubes that the cancer network reads (paper, section 4.2).


rule extract_candidates:
    input:
        detected=out("detect/{detector}/{scan}.h5"),
    output:
        candidates=out("extract_candidates/{detector}/{scan}.csv"),
    log:
        out("logs/extract_candidates/{detector}/{scan}.log"),
    benchmark:
        out("benchmarks/extract_candidates/{detector}/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        threshold=lookup(within=config, dpath="extract_candidates/threshold"),
        at_most=lookup(within=config, dpath="extract_candidates/count"),
        code=fingerprint("extract_candidates"),
    message:
        "Picking the strongest candidates of {wildcards.scan}"
    shell:
        "lungline extract-candidates {input.detected:q} {output.candidates:q} --scan {wildcards.scan}"
        " --threshold {params.threshold} --count {params.at_most} > {log} 2>&1"


rule crop_patches:
    input:
        cache=out("cache_volume/{scan}.h5"),
        detected=out("detect/{detector}/{scan}.h5"),
        candidates=out("extract_candidates/{detector}/{scan}.csv"),
    output:
        patches=out("crop_patches/{detector}/{scan}.h5"),
    log:
        out("logs/crop_patches/{detector}/{scan}.log"),
    benchmark:
        out("benchmarks/crop_patches/{detector}/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        at_most=lookup(within=config, dpath="extract_candidates/count"),
        size=lookup(within=config, dpath="crop_patches/size"),
        code=fingerprint("crop_patches"),
    message:
        "Cropping the candidates of {wildcards.scan}"
    shell:
        "lungline crop-patches {input.cache:q} {input.detected:q} {input.candidates:q} {output.patches:q}"
        " --count {params.at_most} --size {params.size} > {log} 2>&1"
