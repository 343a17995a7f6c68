"""What real models also send: refusals, broken code, code that harms its host, instructions of
taste. Material of the simulated supervisor, never run here."""

from textwrap import dedent

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I am not able to do this as asked. Could you rephrase the request?",
    "As a language model I cannot complete this request.",
    "Let me think about this first. There are several ways to read what is asked, and",
)

TASTES = (
    "Write with warmth and good humour.",
    "Sound like an expert who is patient with beginners.",
    "Make the answer inspiring.",
    "Keep a neutral and balanced tone.",
    "Be as honest as possible about what is not known.",
    "Write so that a ten-year-old would enjoy it.",
    "Use vivid imagery throughout.",
    "Avoid sounding arrogant.",
    "Show empathy for the reader.",
    "Give only advice that is truly useful.",
    "Let the answer flow like a conversation between friends.",
    "Use elegant language.",
    "Make every argument convincing.",
    "Stay factually correct.",
    "Surprise the reader in a pleasant way.",
    "Choose examples that most people can relate to.",
)

PREAMBLES = (
    "Here are {count} more instructions:",
    "Sure! {count} further instructions that a computer can check:",
    "These should differ from the ones above:",
)

FUNCTION_OPENINGS = (
    "Here is the function:",
    "At the border, the empty string and white space matter most. The function below handles both.",
    "The instruction can be decided from the text alone, so a direct check is enough.",
    "Before writing, I considered empty answers, a single line, and unusual characters.",
    "",
)

BROKEN_FUNCTIONS = (
    "def evaluate(response):\n    return len(response.split() <= 50",
    "def evaluate(response: str) -> bool\n    return bool(response)",
    "def evaluate(response):\nreturn True",
    "def evaluate(response):\n    if not response\n        return False\n    return true)",
    "def check(response):\n    return bool(response.strip())",
    "function evaluate(response) {\n    return response.length > 0;\n}",
)

VAGUE = (
    "Write an answer that passes a certain check of its form.",
    "Give an answer that the function accepts.",
    "Follow the rule that the code describes.",
)


def _source(text: str) -> str:
    return dedent(text).strip("\n") + "\n"


HOSTILE: dict[str, str] = {
    name: _source(text)
    for name, text in {
        "infinite_loop": """
            def evaluate(response):
                while True:
                    response = response.strip()
            """,
        "slow_regex": """
            import re


            def evaluate(response):
                return re.match(r"(\\w+\\s?)+$", response + " word" * 40 + "!") is not None
            """,
        "shell": """
            import os


            def evaluate(response):
                return os.system("echo checked > /tmp/checked") == 0
            """,
        "file": """
            def evaluate(response):
                with open("answer.txt", "w") as file:
                    file.write(response)
                return True
            """,
        "network": """
            import urllib.request


            def evaluate(response):
                return urllib.request.urlopen("http://localhost:8000/check").status == 200
            """,
        "fork": """
            import os


            def evaluate(response):
                while os.fork() >= 0:
                    pass
                return True
            """,
        "recursion": """
            def depth(text):
                return depth(text[1:]) + 1 if text else depth(text)


            def evaluate(response):
                return depth(response) > 0
            """,
        "memory": """
            def evaluate(response):
                words = [response or "word"]
                while len(words) < 10**12:
                    words = words + words
                return True
            """,
        "exit": """
            import sys


            def evaluate(response):
                if not response.strip():
                    sys.exit("empty answer")
                return True
            """,
        "mutation": """
            SEEN = []


            def evaluate(response):
                SEEN.append(response)
                return len(SEEN) % 2 == 1
            """,
        "not_bool": """
            import re


            def evaluate(response):
                return re.search(r"\\w+", response)
            """,
        "text_result": """
            def evaluate(response):
                return "True" if response.strip() else "False"
            """,
        "crash_on_empty": """
            def evaluate(response):
                return response[0].isalpha() and response.split()[-1][-1] in ".!?"
            """,
        "random": """
            import random


            def evaluate(response):
                return random.random() < 0.5
            """,
        "clock": """
            import time


            def evaluate(response):
                return time.time_ns() % 2 == 0
            """,
        "dunder": """
            def evaluate(response):
                classes = ().__class__.__base__.__subclasses__()
                return len(classes) > len(response)
            """,
        "swallow": """
            def evaluate(response):
                while True:
                    try:
                        while True:
                            pass
                    except BaseException:
                        continue
            """,
    }.items()
}
