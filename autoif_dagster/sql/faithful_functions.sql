-- Grain: one row per verified function. A function falls if its words contradict its instruction
-- with a probability of at least $max_contradiction (paper, section 3.2), or if that cannot be told.
SELECT
    functions.round,
    functions.function_id,
    functions.instruction_id,
    functions.source,
    functions.accuracy,
    translations.back_translation,
    translations.p_contradiction,
    CASE
        WHEN translations.failure IS NOT NULL THEN translations.failure
        WHEN translations.p_contradiction >= $max_contradiction THEN 'contradicts_instruction'
    END AS reason,
    CASE reason
        WHEN translations.failure THEN translations.detail
        WHEN 'contradicts_instruction'
            THEN format('p = {:.2f}: {}', p_contradiction, back_translation)
    END AS detail
FROM verified_functions AS functions
JOIN back_translations AS translations USING (function_id)
