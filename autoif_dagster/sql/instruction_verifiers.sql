-- Grain: one row per instruction. What the sandbox runs: its distinct functions and cases.
WITH distinct_verifiers AS (
    SELECT DISTINCT instruction_id, kind, verifier_id, coalesce(source, case_input) AS content
    FROM verifier_candidates
    WHERE failure IS NULL
)
SELECT
    instruction_id,
    coalesce(list(verifier_id ORDER BY verifier_id) FILTER (kind = 'function'), []) AS function_ids,
    coalesce(list(content ORDER BY verifier_id) FILTER (kind = 'function'), []) AS sources,
    coalesce(list(verifier_id ORDER BY verifier_id) FILTER (kind = 'case'), []) AS case_ids,
    coalesce(list(content ORDER BY verifier_id) FILTER (kind = 'case'), []) AS inputs
FROM distinct_verifiers
GROUP BY instruction_id
ORDER BY instruction_id
