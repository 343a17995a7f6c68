-- Grain: one row per instruction. What the sandbox runs: its distinct functions and cases, and the
-- verdicts on them that are known already.
WITH distinct_verifiers AS (
    SELECT DISTINCT instruction_id, kind, verifier_id, coalesce(source, case_input) AS content
    FROM verifier_candidates
    WHERE failure IS NULL
),

verifiers AS (
    SELECT
        instruction_id,
        coalesce(list(verifier_id ORDER BY verifier_id) FILTER (kind = 'function'), [])
            AS function_ids,
        coalesce(list(content ORDER BY verifier_id) FILTER (kind = 'function'), []) AS sources,
        coalesce(list(verifier_id ORDER BY verifier_id) FILTER (kind = 'case'), []) AS case_ids,
        coalesce(list(content ORDER BY verifier_id) FILTER (kind = 'case'), []) AS inputs
    FROM distinct_verifiers
    GROUP BY instruction_id
),

known AS (
    SELECT
        instruction_id,
        list({
            function_id: function_id,
            case_id: case_id,
            verdict: verdict,
            second_verdict: second_verdict,
            detail: detail
        }) AS known
    FROM known_verdicts
    GROUP BY instruction_id
)

SELECT instruction_id, function_ids, sources, case_ids, inputs, coalesce(known, []) AS known
FROM verifiers
LEFT JOIN known USING (instruction_id)
ORDER BY instruction_id
