# Real nodules implanted into real chests: the chests once, then one job per scan, its tables, the manifest. See decision 15.


rule prepare_chest:
    output:
        ingested=out("implanted/chests/ingest/{chest}.h5"),
        volume=out("implanted/chests/resample/{chest}.h5"),
        lungs=out("implanted/chests/segment_lungs/{chest}.h5"),
    log:
        out("logs/prepare_chest/{chest}.log"),
    benchmark:
        out("benchmarks/prepare_chest/{chest}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        raw=lambda wildcards: CONFIG.implanted.chests[wildcards.chest].path,
        source=lambda wildcards: CONFIG.implanted.chests[wildcards.chest].source,
        resampling=settings("resample"),
        lungs=settings("segment_lungs"),
        code=[fingerprint(stage) for stage in ("ingest", "resample", "segment_lungs")],
    message:
        "Preparing the chest {wildcards.chest}"
    shell:
        "(lungline ingest {params.raw:q} {output.ingested:q} --source {params.source:q}"
        " && lungline resample {output.ingested:q} {output.volume:q} {params.resampling}"
        " && lungline segment-lungs {output.volume:q} {output.lungs:q} {params.lungs}) > {log:q} 2>&1"


rule implant_nodules:
    input:
        ingested=lambda wildcards: FILES.recipient(wildcards.scan, "ingest"),
        volume=lambda wildcards: FILES.recipient(wildcards.scan, "resample"),
        lungs=lambda wildcards: FILES.recipient(wildcards.scan, "segment_lungs"),
    output:
        mhd=out("implanted/luna16/subset{fold}/{scan}.mhd"),
        zraw=out("implanted/luna16/subset{fold}/{scan}.zraw"),
        mask=out("implanted/luna16/subset{fold}/{scan}.h5"),
        found=out("implanted/luna16/subset{fold}/{scan}.csv"),
    log:
        out("logs/implant_nodules/{fold}/{scan}.log"),
    benchmark:
        out("benchmarks/implant_nodules/{fold}/{scan}.tsv")
    priority: 1
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        config=PLACES.config,
        folder=lambda wildcards, output: str(Path(output.mhd).parents[2]),
        settings=digest([CONFIG.seed, CONFIG.implanted.model_dump(mode="json")]),
        nodules_digest=lambda wildcards: STUDY.nodules_digest([wildcards.scan]),
        code=fingerprint("implant_nodules"),
    message:
        "Inserting nodules: {wildcards.scan}"
    shell:
        "lungline implant-nodules {params.folder:q} --scan {wildcards.scan:q} --config {params.config:q}"
        " --ingested {input.ingested:q} --volume {input.volume:q}"
        " --lungs {input.lungs:q} > {log:q} 2>&1"


rule write_implanted_tables:
    input:
        found=[FILES.beside_implanted(scan, ".csv") for scan in STUDY.plans],
    output:
        annotations=out("implanted/luna16/annotations.csv"),
        excluded=out("implanted/luna16/annotations_excluded.csv"),
        nodules=out("implanted/nodules.csv"),
        sources=out("implanted/sources.csv"),
    log:
        out("logs/write_implanted_tables.log"),
    benchmark:
        out("benchmarks/write_implanted_tables.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=5,
    params:
        config=PLACES.config,
        folder=folder_of("nodules"),
        settings=digest([CONFIG.seed, CONFIG.implanted.model_dump(mode="json")]),
        code=fingerprint("write_implanted_tables"),
    message:
        "Writing the tables of the implanted nodules"
    shell:
        "lungline write-implanted-tables {params.folder:q} --config {params.config:q} > {log:q} 2>&1"


rule manifest:
    input:
        raw=[out(f"implanted/{plan.path}") for plan in STUDY.plans.values()],
    output:
        manifest=out("manifest.csv"),
        warnings=out("input_warnings.csv"),
    log:
        out("logs/manifest.log"),
    benchmark:
        out("benchmarks/manifest.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        folder=folder_of("manifest"),
        data=PLACES.out("implanted/luna16"),
        only=list(STUDY.plans),  # scans of another plan may still lie there
        code=fingerprint("manifest"),
    message:
        "Listing the implanted scans"
    shell:
        "lungline manifest luna16 {params.data:q} {params.folder:q} --only {params.only:q} > {log:q} 2>&1"
