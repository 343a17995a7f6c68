"""`autoif explain ID`: the whole story of one row, from its seeds to the data sets or to where it
fell.

    finding    an id, or the beginning of one → what it is and the rounds it stands in
    reading    the rows of one round's tables
    chapters   what is told of an instruction, its functions, a prompt, a response, …
    stories    which chapters each kind of id gets, and the decisions it went through
    telling    a story → a screen of text, or JSON
    again      its verdicts, run once more

A story is data; text and JSON are two ways to write down the same. Nothing here knows Dagster.
"""
