"""Reconstruction: verified instructions meet real queries (paper, section 3.3).

`prompt` is what models are trained on, plain text of both parts; `request` is what the supervisor
is sent, the same parts inside a wrapper that asks for strict obedience. The two are never mixed up,
since a model trained on the wrapper learns to need it. How a prompt joins its parts is the layout:
the paper's Table 6 puts the instruction first, the reference code the query first and a full stop
behind it all; `mixed` takes either way for half of the prompts, by their ids, so that a model does
not learn where to look.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from autoif_dagster import ids
from autoif_dagster.recipe import Queries
from autoif_dagster.records import ReconstructedQuery, RoundPlan

MIXED = ("instruction_first", "query_first")
_ENDS = (".", "!", "?", ":", "…", "。", "！", "？")


def draw(
    plan: RoundPlan,
    instructions: Iterable[tuple[str, str]],
    queries: Mapping[str, str],
    settings: Queries,
    past_uses: Mapping[str, int] | None = None,
) -> Iterator[ReconstructedQuery]:
    """Slots of every instruction, each with a query of its own while there are any.

    Instructions are served in the order of their ids, each from the queries that are still free by
    a draw of its own, so the result depends on the sets alone. Queries that no earlier round used
    come first, then those with the fewest uses. A query leaves the pool after `max_uses` in this
    round, if that is not 0; a slot that finds none is a row with a reason.

    Args:
        instructions: id and words, ordered by id.
        queries: words by id.
        past_uses: prompts that the round's past made of a query, by its id; none where it is not.
    """
    pools = _pools(queries, past_uses or {})
    uses: Counter[str] = Counter()
    for instruction_id, instruction in instructions:
        rng = ids.rng(plan.random_seed, "reconstructed_queries", instruction_id)
        picked: list[str] = []
        for pool in pools:
            wanted = settings.per_instruction - len(picked)
            places = rng.sample(range(len(pool)), min(wanted, len(pool)))
            drawn = [pool[place] for place in places]
            picked += drawn
            uses.update(drawn)
            if settings.max_uses:
                _drop_used_up(pool, places, uses, settings.max_uses)
        for slot, query_id in enumerate(picked):
            query = queries[query_id]
            yield filled(
                plan.round, instruction_id, instruction, slot, query_id, query, settings.layout
            )
        for slot in range(len(picked), settings.per_instruction):
            yield _unfilled(plan.round, instruction_id, slot, len(queries), settings)


def _pools(queries: Iterable[str], past_uses: Mapping[str, int]) -> list[list[str]]:
    """Ids in order, those with equally many uses together, the fewest first."""
    pools: dict[int, list[str]] = {}
    for query_id in sorted(queries):
        pools.setdefault(past_uses.get(query_id, 0), []).append(query_id)
    return [pools[used] for used in sorted(pools)]


def _drop_used_up(
    pool: list[str], picked: Iterable[int], uses: Mapping[str, int], max_uses: int
) -> None:
    # From the back, so that the places before stay true; the last query fills the gap.
    for place in sorted(picked, reverse=True):
        if uses[pool[place]] >= max_uses:
            pool[place] = pool[-1]
            pool.pop()


def join_parts(instruction: str, query: str, layout: str) -> str:
    """The two parts of a prompt, plainly joined; nothing else is added but a full stop where a
    first part has none. `reference` puts one behind the instruction alone, as that code does (but
    no second one)."""
    if layout == "reference":
        return f"{query} {instruction.removesuffix('.')}."
    first, second = (instruction, query) if layout == "instruction_first" else (query, instruction)
    return f"{_closed(first)} {_closed(second) if layout == 'query_first' else second}"


def _closed(text: str) -> str:
    return text if text.endswith(_ENDS) else text + "."


def filled(
    round_key: str,
    instruction_id: str,
    instruction: str,
    slot: int,
    query_id: str,
    query: str,
    layout: str,
) -> ReconstructedQuery:
    """The prompt of an instruction and a query, in a layout of the recipe."""
    prompt_id = ids.prompt_id(instruction_id, query_id)
    if layout == "mixed":
        layout = MIXED[ids.stable_seed("layout", prompt_id) % len(MIXED)]
    prompt = join_parts(instruction, query, layout)
    return ReconstructedQuery(
        round_key, prompt_id, instruction_id, query_id, query, slot, layout, prompt, None, None
    )


def _unfilled(
    round_key: str, instruction_id: str, slot: int, queries: int, settings: Queries
) -> ReconstructedQuery:
    detail = f"each query serves at most {settings.max_uses} instructions a round"
    if not settings.max_uses or slot >= queries:
        detail = f"usable queries: {queries}; none serves an instruction twice"
    return ReconstructedQuery(
        round=round_key,
        prompt_id=ids.content_id("prm", instruction_id, round_key, slot),
        instruction_id=instruction_id,
        query_id=None,
        query=None,
        slot=slot,
        layout=None,
        prompt=None,
        reason="no_query_left",
        detail=detail,
    )
