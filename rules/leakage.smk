# Nothing is trained before it is known that no patient stands in two splits.
# The trainings take the result as `ancient`: one more scan is compared, and what was trained stays.


rule check_leakage:
    input:
        sheet=ancient(SHEET),
        identities=out_of("private/identity/{scan}.json", cases()),
    output:
        warnings=out("check_leakage.csv"),
    log:
        out("logs/check_leakage.log"),
    benchmark:
        out("benchmarks/check_leakage.tsv")
    priority: 8
    conda:
        "../envs/lungline.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=10,
    params:
        identities=lambda wildcards, input: os.path.dirname(input.identities[0]),
        rows=rows_digest(cases(), "scan", "split", "label"),
        code=fingerprint("check_leakage"),
    message:
        "Looking for patients in two splits"
    shell:
        "lungline check-leakage {output.warnings:q} --scans {input.sheet:q} --identities {params.identities:q}"
        " > {log} 2>&1"
