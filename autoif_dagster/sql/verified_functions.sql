-- Grain: one row per function in the supervisor's replies. A function is kept if it is right on at
-- least $function_accuracy of the kept cases and on more than $side_accuracy of each side of them
-- (paper, section 3.2; the threshold is the reference's, the sides are ours). Both sides must exist:
-- a function that always says True is right on every case that is expected True.
WITH functions AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY instruction_id, verifier_id ORDER BY sample_index, position
        ) AS nth
    FROM verifier_candidates
    WHERE kind = 'function'
),

instructions AS (
    SELECT
        instruction_id,
        any_value(functions) AS functions,
        any_value(usable_cases) AS usable_cases,
        count(*) FILTER (reason IS NULL) AS kept_cases,
        count(*) FILTER (reason IS NULL AND case_expected) AS kept_true,
        count(*) FILTER (reason IS NULL AND NOT case_expected) AS kept_false
    FROM verified_cases_candidates
    GROUP BY instruction_id
),

runs AS (
    SELECT
        function_id,
        bool_or(verdict = 'INVALID') AS invalid,
        -- A second run that was merely slower or faster shows nothing.
        bool_or(
            verdict <> second_verdict
            AND verdict NOT IN ('TIMEOUT', 'KILLED')
            AND second_verdict NOT IN ('TIMEOUT', 'KILLED')
        ) AS nondeterministic,
        max(detail) AS run_detail
    FROM case_verdicts
    GROUP BY function_id
),

scores AS (
    SELECT
        function_id,
        avg((verdict = CASE WHEN case_expected THEN 'TRUE' ELSE 'FALSE' END)::INT) AS accuracy,
        avg((verdict = 'TRUE')::INT) FILTER (case_expected) AS accuracy_true,
        avg((verdict = 'FALSE')::INT) FILTER (NOT case_expected) AS accuracy_false,
        count(DISTINCT verdict) = 1 AS constant
    FROM case_verdicts
    JOIN verified_cases_candidates AS kept ON kept.case_id = case_verdicts.case_id
        AND kept.reason IS NULL
    GROUP BY function_id
),

judged AS (
    SELECT
        functions.* EXCLUDE (detail),
        functions.detail AS reply_detail,
        runs.*,
        scores.* EXCLUDE (function_id),
        coalesce(instructions.functions, 0) AS compiled,
        coalesce(instructions.usable_cases, 0) AS usable_cases,
        coalesce(instructions.kept_cases, 0) AS kept_cases,
        coalesce(least(instructions.kept_true, instructions.kept_false), 0) AS kept_on_poorer_side
    FROM functions
    LEFT JOIN instructions USING (instruction_id)
    LEFT JOIN runs ON runs.function_id = functions.verifier_id
    LEFT JOIN scores ON scores.function_id = functions.verifier_id
)

SELECT
    round,
    candidate_id,
    instruction_id,
    verifier_id AS function_id,
    source,
    accuracy,
    accuracy_true,
    accuracy_false,
    kept_cases AS cases,
    CASE
        WHEN failure IS NOT NULL THEN failure
        WHEN nth > 1 THEN 'duplicate_function'
        WHEN invalid THEN 'invalid_function'
        WHEN usable_cases < $min_cases THEN 'too_few_cases'
        WHEN compiled < $min_functions THEN 'too_few_functions'
        WHEN kept_on_poorer_side = 0 THEN 'one_sided_cases'
        WHEN nondeterministic THEN 'nondeterministic_function'
        WHEN constant THEN 'constant_function'
        WHEN accuracy < $function_accuracy THEN 'low_accuracy'
        WHEN least(accuracy_true, accuracy_false) <= $side_accuracy THEN 'low_accuracy_on_one_side'
    END AS reason,
    CASE reason
        WHEN failure THEN reply_detail
        WHEN 'duplicate_function' THEN 'of an earlier function of the instruction'
        WHEN 'invalid_function' THEN run_detail
        WHEN 'too_few_cases' THEN format('{} < {} cases', usable_cases, $min_cases)
        WHEN 'too_few_functions' THEN format('{} < {} compiled functions', compiled, $min_functions)
        WHEN 'one_sided_cases'
            THEN format('{} kept cases, none on one of the sides', kept_cases)
        WHEN 'nondeterministic_function' THEN 'a second run gave other verdicts'
        WHEN 'constant_function' THEN format('one verdict on all {} kept cases', kept_cases)
        WHEN 'low_accuracy'
            THEN format('{:.0f} of {} kept cases', accuracy * kept_cases, kept_cases)
        WHEN 'low_accuracy_on_one_side'
            THEN format('{:.3f} of True, {:.3f} of False', accuracy_true, accuracy_false)
    END AS detail
FROM judged
