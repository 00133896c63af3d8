"""The texts of the team `review`, which every version of it shares; they count as nobody's lines."""
RULES = "Limits are named constants."
REVIEWERS = {
    "correctness": ("gpt-4o", 150, f"Review the change for wrong results, edge cases and errors that are passed over. Name file and line. {RULES}"),
    "security": ("gpt-4o", 150, f"Review the change for unchecked input, secrets, injection and unsafe defaults. Name file and line. {RULES}"),
    "speed": ("gpt-4o-mini", 120, f"Review the change for needless work, copies and unbounded growth. Name file and line. {RULES}"),
    "clarity": ("gpt-4o-mini", 120, f"Review the change for names, structure, tests and comments that mislead. Name file and line. {RULES}"),
}
ARBITER = ("Decide on the change. List what must change before it is merged and what may, each once, with file and line.\n"
           "Write these sections, each under its heading: Must change; May change.\nWrite at most 420 words.\n"
           'Begin with the line "CHOICE: approve or request changes", with one of them.')


def reviewer(name):
    _, words, prompt = REVIEWERS[name]
    return f"You are {name}.\n{prompt}\nWrite these sections, each under its heading: Findings.\nWrite at most {words} words."


def arbiter():
    return f"You are arbiter.\n{ARBITER}"
