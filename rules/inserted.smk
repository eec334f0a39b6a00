# Real nodules inserted into real chests: the chests once, then one job a scan, its tables, the sheet. See decision 15.


rule prepare_chest:
    output:
        ingested=out("inserted/chests/ingest/{chest}.h5"),
        volume=out("inserted/chests/resample/{chest}.h5"),
        lungs=out("inserted/chests/segment_lungs/{chest}.h5"),
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
        raw=lambda wildcards: CONFIG.inserted.chests[wildcards.chest].path,
        source=lambda wildcards: CONFIG.inserted.chests[wildcards.chest].source,
        resampling=settings("resample"),
        lungs=settings("segment_lungs"),
        code=[fingerprint(stage) for stage in ("ingest", "resample", "segment_lungs")],
    message:
        "Preparing the chest {wildcards.chest}"
    shell:
        "(lungline ingest {params.raw:q} {output.ingested:q} --source {params.source}"
        " && lungline resample {output.ingested:q} {output.volume:q} {params.resampling}"
        " && lungline segment-lungs {output.volume:q} {output.lungs:q} {params.lungs}) > {log} 2>&1"


rule insert_nodules:
    input:
        ingested=lambda wildcards: FILES.recipient(wildcards.scan, "ingest"),
        volume=lambda wildcards: FILES.recipient(wildcards.scan, "resample"),
        lungs=lambda wildcards: FILES.recipient(wildcards.scan, "segment_lungs"),
    output:
        mhd=out("inserted/luna16/subset{fold}/{scan}.mhd"),
        zraw=out("inserted/luna16/subset{fold}/{scan}.zraw"),
        mask=out("inserted/luna16/subset{fold}/{scan}.h5"),
        found=out("inserted/luna16/subset{fold}/{scan}.csv"),
    log:
        out("logs/insert_nodules/{fold}/{scan}.log"),
    benchmark:
        out("benchmarks/insert_nodules/{fold}/{scan}.tsv")
    priority: 1
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=10,
    params:
        config=PLACES.config,
        folder=lambda wildcards, output: str(Path(output.mhd).parents[2]),
        settings=digest([CONFIG.seed, CONFIG.inserted.model_dump(mode="json")]),
        nodules=lambda wildcards: STUDY.nodules_digest([wildcards.scan]),
        code=fingerprint("insert_nodules"),
    message:
        "Inserting nodules: {wildcards.scan}"
    shell:
        "lungline insert-nodules {params.folder:q} --scan {wildcards.scan} --config {params.config:q}"
        " --ingested {input.ingested:q} --volume {input.volume:q}"
        " --lungs {input.lungs:q} > {log} 2>&1"


rule write_inserted_tables:
    input:
        found=[FILES.beside_implanted(scan, ".csv") for scan in STUDY.plans],
    output:
        annotations=out("inserted/luna16/annotations.csv"),
        excluded=out("inserted/luna16/annotations_excluded.csv"),
        nodules=out("inserted/nodules.csv"),
        sources=out("inserted/sources.csv"),
    log:
        out("logs/write_inserted_tables.log"),
    benchmark:
        out("benchmarks/write_inserted_tables.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=5,
    params:
        config=PLACES.config,
        folder=folder_of("nodules"),
        settings=digest([CONFIG.seed, CONFIG.inserted.model_dump(mode="json")]),
        code=fingerprint("write_inserted_tables"),
    message:
        "Writing the tables of the inserted nodules"
    shell:
        "lungline write-inserted-tables {params.folder:q} --config {params.config:q} > {log} 2>&1"


rule sheet:
    input:
        raw=[out(f"inserted/{plan.path}") for plan in STUDY.plans.values()],
    output:
        sheet=out("scans.csv"),
        warnings=out("input_warnings.csv"),
    log:
        out("logs/sheet.log"),
    benchmark:
        out("benchmarks/sheet.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        folder=folder_of("sheet"),
        data=PLACES.out("inserted/luna16"),
        only=list(STUDY.plans),  # scans of another plan may still lie there
        code=fingerprint("sheet"),
    message:
        "Listing the inserted scans"
    shell:
        "lungline sheet luna16 {params.data:q} {params.folder:q} --only {params.only:q} > {log} 2>&1"
