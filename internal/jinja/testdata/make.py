"""Writes cases.json: templates, and what Jinja makes of them with the settings of transformers.

    python3 -m venv env && env/bin/pip install jinja2 && env/bin/python make.py
"""
import json, os
from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

def raise_exception(message):
    raise TemplateError(message)

def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception

CHATML = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
LLAMA2 = "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
LLAMA3 = "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- set date_string = \"26 Jul 2024\" %}\n{%- endif %}\n{#- This block extracts the system message. #}\n{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content']|trim %}\n    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}\n{{- \"Today Date: \" + date_string + \"\\n\\n\" }}\n{{- system_message }}\n{{- \"<|eot_id|>\" }}\n{%- for message in messages %}\n    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}\n        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}\n    {%- elif 'tool_calls' in message %}\n        {{- raise_exception(\"no tools\") }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n"
GEMMA = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
ZEPHYR = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
QWEN = "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}\n{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    {%- if ns.multi_step_tool and message.role == \"user\" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}\n        {%- set ns.multi_step_tool = false %}\n        {%- set ns.last_query_index = index %}\n    {%- endif %}\n{%- endfor %}\n{%- for message in messages %}\n    {%- if message.content is string %}\n        {%- set content = message.content %}\n    {%- else %}\n        {%- set content = '' %}\n    {%- endif %}\n    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) %}\n        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}\n    {%- elif message.role == \"assistant\" %}\n        {%- set reasoning_content = '' %}\n        {%- if '</think>' in content %}\n            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}\n            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n        {%- endif %}\n        {%- if loop.index0 > ns.last_query_index and (loop.last or (not loop.last and reasoning_content)) %}\n            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}\n        {%- else %}\n            {{- '<|im_start|>' + message.role + '\\n' + content }}\n        {%- endif %}\n        {{- '<|im_end|>\\n' }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n    {%- if enable_thinking is defined and enable_thinking is false %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}"

S = {"role": "system", "content": "  Be brief. "}
U = {"role": "user", "content": " Hello, \"you\"! 'é' \U0001F600 <&>\n"}
A = {"role": "assistant", "content": "<think>\nwell\n</think>\n\nHi."}
U2 = {"role": "user", "content": "And now?"}
talks = [[U], [U, A, U2], [S, U], [S, U, A, U2], [A, U], [S, U, A]]

# Small templates for what the large ones leave out.
small = [
    "a\n{% if true %}\nb\n{% endif %}\nc\n", "  {% if true %}  x  {% endif %}  \n  y", "{%+ if true %} x{% endif +%}\ny", "  {#- c -#}  z {# d #}\n  {# e #}\nw",
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 * 3.5 }} {{ 1 + 2 * 3 - 4 }} {{ 6 / 3 }} {{ 1e-1 if false else 0.5 }} {{ 0.00001 }} {{ 12345678901234567890.0 }}",
    "{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'x', none] ~ {'k': 'v\"\\''} }}", "{{ [1,2,3][-1] }}{{ 'hello'[1:3] }}{{ 'hello'[::-1] }}{{ [1,2,3,4,5][1:-1:2] }}{{ 'é1'[0] }}{{ [1,2,3,4][-1:0:-2] }}",
    "{% for k, v in {'a': 1, 'b': [2]}.items() %}{{ loop.index }}{{ k }}={{ v }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for i in range(10) if i is odd %}{% if i == 7 %}{% break %}{% endif %}{% if i == 3 %}{% continue %}{% endif %}{{ i }}{{ loop.first }}{{ loop.previtem is defined }}{% else %}none{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %}", "{% set x = 1 %}{% for i in [1,2] %}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}", "{% set x %}a{{ 1 }}b{% endset %}[{{ x }}]",
    "{% macro m(a, b='B', c) %}<{{ a }}{{ b }}>{% endmacro %}{{ m(1) }}", "{% macro m(a, c, b='B') %}<{{ a }}{{ b }}{{ c is defined }}>{% endmacro %}{{ m(1) }}{{ m(1, 2, 3) }}{{ m('q', c=4) }}", "{% set a, b = 1, 2 %}{{ a + b }}{{ (1, 2)[1] }}",
    "{{ undefined_thing }}{{ undefined_thing is defined }}{{ undefined_thing is undefined }}{{ messages[0].nothing is defined }}{{ none is none }}{{ x | default('d') }}{{ '' | default('e', true) }}{{ (x.y is defined) if x is defined }}",
    "{{ 'x' in 'xyz' }}{{ 1 not in [1] }}{{ 'a' in {'a': 1} }}{{ 1 < 2 <= 2 }}{{ not true or true and false }}{{ 'b' > 'a' }}{{ 1 == 1.0 }}{{ 1 == true }}{{ [1] == [1] }}",
    "{{ messages | tojson }}", "{{ {'a': [1, 2.5, true, none, 'é<>&\\u2028'], 'b': {}, 'c': []} | tojson(indent=2) }}", "{{ messages | map(attribute='role') | join(', ') }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages | rejectattr('role', 'equalto', 'user') | list | count }}",
    "{{ 'a b  c'.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a,b,c'.rsplit(',', 1) }}{{ ' x '.strip() }}{{ 'xxaxx'.strip('x') }}{{ 'ab'.upper() }}{{ 'AB' | lower }}{{ \"they're bill's\" | title }}{{ 'hello wORLD' | capitalize }}{{ 'aXbX'.replace('X', '-') }}{{ 'a-a-a' | replace('-', '+', 1) }}{{ 'abc'.find('c') }}{{ 'abc'.startswith(('x', 'a')) }}",
    "{{ [3,1] | first }}{{ [3,1] | last }}{{ 'abc' | reverse }}{{ [1,2] | reverse | list }}{{ 'a\nb\n\nc' | indent(2) }}{{ 'a\nb' | indent(width=3, first=true) }}{{ '12' | int + 1 }}{{ 'x' | int }}{{ 3.9 | int }}{{ '1.5' | float }}{{ [1,1,2] | unique | list }}{{ -3 | abs }}",
    "{{ 'a' 'b' }}{{ \"q\\\"\\n\\x41\\u00e9\" }}{{ 'x' * 3 }}{{ [1] + [2] }}{{ -2 }}{{ 'yes' if messages else 'no' }}{{ 'only' if false }}", "{% if messages is iterable and messages is not string and messages[0] is mapping %}ok{% endif %}{{ 4 is divisibleby 2 }}{{ 3 is even }}{{ 'a' is in ['a'] }}{{ 1 is number }}{{ 'a' is eq 'a' }}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + m.content | length %}{% endfor %}{{ ns.n }}", "{{ messages[5] is defined }}{{ messages.get is defined }}{{ messages[0].get('x', 'd') }}{{ messages[0].keys() | list }}{{ messages[0]['role'] }}", "{{ {'a': 1}.a }}{{ {'b': {'c': 2}}['b'].c }}",
    "{% include 'x' %}", "{{ 1 +", "{% if %}x{% endif %}", "{% for x in y %}", "{{ nothing.at.all }}", "{{ 1 + 'a' }}", "{{ nothing() }}", "{{ 1 / 0 }}", "{{ raise_exception('no') }}", "{% endif %}", "{% set x.y = 1 %}", "{{ 'a' | nofilter }}", "{{ 1 is notest }}",
    "line one\nline two {{ 'x' }}\r\n\n{% set a = 1 -%}\n   tail\n\n",
]

cases = []
for name, t in {"chatml": CHATML, "llama2": LLAMA2, "llama3": LLAMA3, "gemma": GEMMA, "zephyr": ZEPHYR, "qwen": QWEN}.items():
    for talk in talks:
        for go_on in (True, False):
            cases.append((name, t, talk, go_on))
cases += [("small %d" % i, t, [S, U], True) for i, t in enumerate(small)]
out = []
for name, t, talk, go_on in cases:
    case = {"name": name, "template": t, "messages": talk, "add_generation_prompt": go_on}
    try:
        case["text"] = env.from_string(t).render(messages=talk, add_generation_prompt=go_on, bos_token="<s>", eos_token="</s>")
    except Exception as e:
        case["error"] = str(e)
    out.append(case)
with open(os.path.join(os.path.dirname(__file__), "cases.json"), "w") as f:
    json.dump(out, f, indent=1, ensure_ascii=False)
print(len(out), sum("error" in c for c in out))
