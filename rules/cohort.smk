# The synthetic cohort, in the real formats: one job per scan, then its tables, then the manifest that real data get too.


rule simulate_luna16_scan:
    output:
        mhd=out("cohort/luna16/subset{fold}/{scan}.mhd"),
        zraw=out("cohort/luna16/subset{fold}/{scan}.zraw"),
    log:
        out("logs/simulate_luna16_scan/{fold}/{scan}.log"),
    benchmark:
        out("benchmarks/simulate_luna16_scan/{fold}/{scan}.tsv")
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
        code=fingerprint("simulate_scan"),
    message:
        "Simulating the synthetic LUNA-16 scan {wildcards.scan}"
    shell:
        "lungline simulate-scan {output.mhd:q} --dataset luna16 --index {params.index:q} --seed {params.seed:q}"
        " --anatomy-scale {params.anatomy_scale:q} > {log:q} 2>&1"


rule simulate_dsb17_patient:
    output:
        folder=directory(out("cohort/dsb17/stage1/{scan}")),
    log:
        out("logs/simulate_dsb17_patient/{scan}.log"),
    benchmark:
        out("benchmarks/simulate_dsb17_patient/{scan}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        index=lambda wildcards: STUDY.plans[wildcards.scan].index,
        seed=CONFIG.seed,
        anatomy_scale=CONFIG.cohort.anatomy_scale,
        code=fingerprint("simulate_scan"),
    message:
        "Simulating the synthetic DSB-17 patient {wildcards.scan}"
    shell:
        "lungline simulate-scan {output.folder:q} --dataset dsb17 --index {params.index:q} --seed {params.seed:q}"
        " --anatomy-scale {params.anatomy_scale:q} > {log:q} 2>&1"


rule write_cohort_tables:
    output:
        annotations=out("cohort/luna16/annotations.csv"),
        nodules=out("cohort/nodules.csv"),
        labels=out("cohort/dsb17/stage1_labels.csv"),
        solution=out("cohort/dsb17/stage1_solution.csv"),
        ground_truth=out("cohort/ground_truth.csv"),
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
        folder=folder_of("ground_truth"),
        cohort=digest([CONFIG.seed, CONFIG.cohort.model_dump(mode="json")]),
        code=fingerprint("write_cohort_tables"),
    message:
        "Writing annotations and labels of the synthetic cohort"
    shell:
        "lungline write-cohort-tables {params.folder:q} --config {params.config:q} > {log:q} 2>&1"


rule manifest:
    input:
        raw=[out(f"cohort/{plan.path}") for plan in STUDY.plans.values()],
        labels=out("cohort/dsb17/stage1_labels.csv"),
        solution=out("cohort/dsb17/stage1_solution.csv"),
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
        cohort=lambda wildcards: PLACES.out("cohort"),
        folder=folder_of("manifest"),
        code=fingerprint("manifest"),
    message:
        "Listing the scans of the synthetic cohort"
    shell:
        "(lungline manifest luna16 {params.cohort:q}/luna16 {params.folder:q}"
        " && lungline manifest dsb17 {params.cohort:q}/dsb17 {params.folder:q}) > {log:q} 2>&1"
