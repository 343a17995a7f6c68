-- Grain: one row per verified instruction with a usable response. What the sandbox runs: its
-- faithful functions, each distinct text once with the responses that have it, and the verdicts on
-- them that are known already.
WITH texts AS (
    SELECT
        instruction_id,
        response,
        list({response_id: response_id, prompt_id: prompt_id} ORDER BY response_id) AS responses
    FROM responses
    WHERE failure IS NULL
    GROUP BY instruction_id, response
),

texts_of AS (
    SELECT
        instruction_id,
        list(response ORDER BY response) AS texts,
        list(responses ORDER BY response) AS responses
    FROM texts
    GROUP BY instruction_id
),

functions_of AS (
    SELECT
        instruction_id,
        list(function_id ORDER BY function_id) AS function_ids,
        list(source ORDER BY function_id) AS sources
    FROM faithful_functions
    GROUP BY instruction_id
),

known AS (
    SELECT
        instruction_id,
        list({function_id: function_id, response_id: response_id, verdict: verdict}) AS known
    FROM known_verdicts
    JOIN responses USING (response_id)
    GROUP BY instruction_id
)

SELECT instruction_id, function_ids, sources, texts, responses, coalesce(known, []) AS known
FROM texts_of
JOIN functions_of USING (instruction_id)
LEFT JOIN known USING (instruction_id)
ORDER BY instruction_id
