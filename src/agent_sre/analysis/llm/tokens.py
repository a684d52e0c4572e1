"""How many tokens a prompt has, without the model's tokenizer: an estimate, and the two uses of it.

An over-long prompt is not refused by every server: some throw its front away, which is where the instructions stand, and answer with 200.
So the prompt must fit by our own count before we ask (`fits`), and the server's count must be near ours afterwards (`was_cut`).
"""

from __future__ import annotations

import math
import re

_CHARACTERS_PER_TOKEN = 3.5
_WIDE = re.compile(r"[\u2e80-\U0010ffff]")  # CJK, emoji: about one token for each
_MARGIN = 1.3
_TEMPLATE_TOKENS = 24  # turn markers and the like
_SMALLEST_CUT = 512  # no server cuts a prompt that is shorter than this, but our estimate can be wrong about it


def estimate_tokens(*texts: str) -> int:
    """About how many tokens these texts are together: 3.5 characters a token, one for a wide character.

    English prose has 4 to 5 characters a token, lines of evidence (names, ids, numbers) 2.5 to 4. Off by a quarter on either side is usual.
    """
    tokens = 0.0
    for text in texts:
        wide = 0 if text.isascii() else len(_WIDE.findall(text))
        tokens += (len(text) - wide) / _CHARACTERS_PER_TOKEN + wide
    return math.ceil(tokens)


def fits(estimate: int, *, num_ctx: int, num_predict: int) -> bool:
    """True where a prompt of this estimate leaves room for the answer, even if the estimate is 30 % too low."""
    return (estimate + _TEMPLATE_TOKENS) * _MARGIN < num_ctx - num_predict


def was_cut(prompt_eval_count: int | None, *, estimate: int, prompt_bytes: int, num_ctx: int) -> bool:
    """True where the server's count of the prompt's tokens says that it read only a part.

    Two signs. It counted far fewer than we did: under 60 %, which no prose explains (that would be 6 characters a token). Or it counted
    half of the window, which is what the shift leaves (num_ctx/2 + 2 with the usual num_keep of 4), of a prompt that may have been longer
    than the window: a token is at least one byte. A missing count says nothing: older servers omit it when the prompt was in the cache.
    """
    if prompt_eval_count is None or estimate < _SMALLEST_CUT:
        return False
    half_window = num_ctx // 2 <= prompt_eval_count <= num_ctx // 2 + 4
    return prompt_eval_count < 0.6 * estimate or (half_window and prompt_bytes >= num_ctx)
