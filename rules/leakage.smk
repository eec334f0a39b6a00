# Nothing is trained before it is known that no patient stands in two splits.
# The trainings take the result as `ancient`: one more scan is compared, and what was trained stays.


rule check_leakage:
    input:
        manifest=ancient(FILES.manifest),
        identities=FILES.of("private/identity/{scan}.json", STUDY.compared_for_leakage),
    output:
        warnings=out("check_leakage.csv"),
    log:
        out("logs/check_leakage.log"),
    benchmark:
        out("benchmarks/check_leakage.tsv")
    priority: 8
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        identities=folder_of("identities"),
        rows_digest=STUDY.rows_digest(STUDY.compared_for_leakage, "scan", "split", "label"),
        code=fingerprint("check_leakage"),
    message:
        "Looking for patients in two splits"
    shell:
        "lungline check-leakage {output.warnings:q} --manifest {input.manifest:q} --identities {params.identities:q}"
        " > {log:q} 2>&1"
