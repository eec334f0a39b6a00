# The embedded cohort, in the real formats: one job a scan, then its tables, then the sheet that real data get too.


rule draw_luna16_scan:
    output:
        mhd=out("cohort/luna16/subset{fold}/{scan}.mhd"),
        zraw=out("cohort/luna16/subset{fold}/{scan}.zraw"),
    log:
        out("logs/draw_luna16_scan/{fold}/{scan}.log"),
    benchmark:
        out("benchmarks/draw_luna16_scan/{fold}/{scan}.tsv")
    priority: 1
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        index=lambda wildcards: STUDY.plans[wildcards.scan].index,
        seed=CONFIG.seed,
        anatomy_scale=CONFIG.cohort.anatomy_scale,
        code=fingerprint("draw_phantom"),
    message:
        "Drawing the synthetic LUNA-16 scan {wildcards.scan}"
    shell:
        "lungline draw-phantom {output.mhd} --dataset luna16 --index {params.index} --seed {params.seed}"
        " --anatomy-scale {params.anatomy_scale} > {log} 2>&1"


rule draw_dsb17_patient:
    output:
        folder=directory(out("cohort/dsb17/stage1/{scan}")),
    log:
        out("logs/draw_dsb17_patient/{scan}.log"),
    benchmark:
        out("benchmarks/draw_dsb17_patient/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        index=lambda wildcards: STUDY.plans[wildcards.scan].index,
        seed=CONFIG.seed,
        anatomy_scale=CONFIG.cohort.anatomy_scale,
        code=fingerprint("draw_phantom"),
    message:
        "Drawing the synthetic DSB-17 patient {wildcards.scan}"
    shell:
        "lungline draw-phantom {output.folder} --dataset dsb17 --index {params.index} --seed {params.seed}"
        " --anatomy-scale {params.anatomy_scale} > {log} 2>&1"


rule write_cohort_tables:
    output:
        annotations=out("cohort/luna16/annotations.csv"),
        nodules=out("cohort/nodules.csv"),
        labels=out("cohort/dsb17/stage1_labels.csv"),
        solution=out("cohort/dsb17/stage1_solution.csv"),
        truth=out("cohort/truth.csv"),
    log:
        out("logs/write_cohort_tables.log"),
    benchmark:
        out("benchmarks/write_cohort_tables.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=5,
    params:
        config=PLACES.config,
        folder=folder_of("truth"),
        cohort=digest([CONFIG.seed, CONFIG.cohort.model_dump(mode="json")]),
        code=fingerprint("write_cohort_tables"),
    message:
        "Writing annotations and labels of the embedded cohort"
    shell:
        "lungline write-cohort-tables {params.folder:q} --config {params.config:q} > {log} 2>&1"


rule sheet:
    input:
        raw=[out(f"cohort/{plan.path}") for plan in STUDY.plans.values()],
        labels=out("cohort/dsb17/stage1_labels.csv"),
        solution=out("cohort/dsb17/stage1_solution.csv"),
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
        cohort=lambda wildcards: PLACES.out("cohort"),
        folder=folder_of("sheet"),
        code=fingerprint("sheet"),
    message:
        "Listing the scans of the embedded cohort"
    shell:
        "(lungline sheet luna16 {params.cohort:q}/luna16 {params.folder:q}"
        " && lungline sheet dsb17 {params.cohort:q}/dsb17 {params.folder:q}) > {log} 2>&1"
