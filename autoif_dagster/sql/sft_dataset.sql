-- Grain: one row per accepted response; the best one of each prompt is kept, by score and then id.
SELECT
    round,
    response_id,
    prompt_id,
    instruction_id,
    query_id,
    prompt,
    response,
    accuracy,
    score,
    CASE WHEN nth > 1 THEN 'not_best_of_prompt' END AS reason,
    CASE WHEN nth > 1 THEN format('{} of {} accepted, score {:.1f}', nth, accepted, score) END AS detail
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY prompt_id ORDER BY score DESC, response_id) AS nth,
        count(*) OVER (PARTITION BY prompt_id) AS accepted
    FROM filtered_responses
)
