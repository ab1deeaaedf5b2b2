"""Talks to a server of testdata/countdown with OpenAI's own client: client.py URL KEY."""
import sys
import openai

url, key = sys.argv[1:]
c = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
assert [m.id for m in c.models.list()] == ["countdown"]
assert c.models.retrieve("countdown").owned_by == "xlstm"

one = c.completions.create(model="countdown", prompt="9 8 7 ", max_tokens=5, temperature=0, logprobs=2)
print("completion:", repr(one.choices[0].text), one.choices[0].finish_reason, one.usage.total_tokens)
assert one.choices[0].text == "6 5 4" and one.choices[0].finish_reason == "length"
assert one.usage.prompt_tokens == 6 and one.usage.completion_tokens == 5
assert one.choices[0].logprobs.tokens == list("6 5 4") and len(one.choices[0].logprobs.top_logprobs[0]) == 2

stopped = c.completions.create(model="countdown", prompt=["9 8 7 ", "9 8 "], max_tokens=50, temperature=0, stop=[" 1", "go"])
print("stopped:", [(x.text, x.finish_reason) for x in stopped.choices])
assert [x.text for x in stopped.choices] == ["6 5 4 3 2", "7 6 5 4 3 2"] and stopped.choices[0].finish_reason == "stop"

several = c.completions.create(model="countdown", prompt="9", max_tokens=20, temperature=2, n=4, seed=3)
again = c.completions.create(model="countdown", prompt="9", max_tokens=20, temperature=2, n=4, seed=3)
assert [x.text for x in several.choices] == [x.text for x in again.choices] and len({x.text for x in several.choices}) > 1

streamed = list(c.completions.create(model="countdown", prompt="9 8 7 ", max_tokens=5, temperature=0, stream=True, stream_options={"include_usage": True}))
assert "".join(x.choices[0].text for x in streamed if x.choices) == "6 5 4"
assert streamed[-1].usage.total_tokens == 11
print("streamed:", len(streamed), "events")

talk = [{"role": "system", "content": "count"}, {"role": "user", "content": [{"type": "text", "text": "9 8 7"}]}]
chat = c.chat.completions.create(model="countdown", messages=talk, max_completion_tokens=8, temperature=0, logprobs=True, top_logprobs=3)
print("chat:", repr(chat.choices[0].message.content))
assert chat.choices[0].message.role == "assistant" and len(chat.choices[0].logprobs.content[0].top_logprobs) == 3
parts = [x.choices[0].delta.content or "" for x in c.chat.completions.create(model="countdown", messages=talk, max_completion_tokens=8, temperature=0, stream=True)]
assert "".join(parts) == chat.choices[0].message.content
with c.chat.completions.stream(model="countdown", messages=talk, max_completion_tokens=8, temperature=0, stop="5") as events:
    assert chat.choices[0].message.content.startswith(events.get_final_completion().choices[0].message.content)

for call, kind in [
    (lambda: c.completions.create(model="other", prompt="9"), openai.NotFoundError),
    (lambda: c.completions.create(model="countdown", prompt="9", temperature=-1), openai.BadRequestError),
    (lambda: c.chat.completions.create(model="countdown", messages=talk, tools=[{"type": "function", "function": {"name": "f"}}]), openai.BadRequestError),
    (lambda: openai.OpenAI(base_url=url + "/v1", api_key="wrong").models.list(), openai.AuthenticationError),
]:
    try:
        call()
    except kind as e:
        print("refused:", e.body["message"])
    else:
        raise AssertionError(kind)
print("all as it should be, with openai", openai.__version__)
