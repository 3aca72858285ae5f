"""More chat templates in the shapes that models in the wild have, written for these tests after the published formats.

`FAMILIES` adds to `shapes.SHAPES`, with the same fields: template, kind of tokenizer, special tokens, added ones, begin, end.
"""

LLAMA_31 = (  # a date, tools, a header of its own for the system text
    "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}'
    "{%- endif %}{%- if not tools is defined %}{%- set tools = none %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}{%- set told = messages[0]['content']|trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set told = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}{%- if tools is not none %}{{- 'Environment: ipython\\n' }}"
    "{%- endif %}{{- 'Today Date: ' + date_string + '\\n\\n' + told + '<|eot_id|>' }}"
    "{%- for message in messages %}{%- if not (message.role == 'ipython' or 'tool_calls' in message) %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}"
    "{%- endif %}{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
MISTRAL_1 = (  # text for marks, a space at the end of the prompt only
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ message['content'] + eos_token + ' ' }}{% else %}{{ raise_exception('Only user and assistant roles') }}{% endif %}"
    "{% endfor %}"
)
MISTRAL_3 = (  # the system text stands in the first question
    "{%- if messages[0]['role'] == 'system' %}{%- set told = messages[0]['content'] %}{%- set said = messages[1:] %}"
    "{%- else %}{%- set said = messages %}{%- endif %}{{- bos_token }}"
    "{%- for message in said %}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{- raise_exception('roles must alternate user and assistant') }}{%- endif %}"
    "{%- if message['role'] == 'user' %}{%- if loop.first and told is defined %}"
    "{{- '[INST] ' + told + '\\n\\n' + message['content'] + '[/INST]' }}{%- else %}"
    "{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}{%- else %}"
    "{{- ' ' + message['content'] + eos_token}}{%- endif %}{%- endfor %}"
)
MISTRAL_TEKKEN = (  # no spaces, a prompt of its own for the system text, today's date in it
    '{%- set today = strftime_now("%Y-%m-%d") %}{%- set usual = "You are an assistant. Today is " + today + "." %}'
    "{{- bos_token }}{%- if messages[0]['role'] == 'system' %}{%- set told = messages[0]['content'] %}"
    "{%- set said = messages[1:] %}{%- else %}{%- set told = usual %}{%- set said = messages %}{%- endif %}"
    "{{- '[SYSTEM_PROMPT]' + told + '[/SYSTEM_PROMPT]' }}{%- for message in said %}{%- if message['role'] == 'user' %}"
    "{{- '[INST]' + message['content'] + '[/INST]' }}{%- elif message['role'] == 'assistant' %}"
    "{{- message['content'] + eos_token }}{%- endif %}{%- endfor %}"
)
GEMMA_3 = (  # the system text stands in the first question, texts are trimmed
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set first = messages[0]['content'] + '\\n\\n' -%}"
    "{%- set said = messages[1:] -%}{%- else -%}{%- set first = '' -%}{%- set said = messages -%}{%- endif -%}"
    "{%- for message in said -%}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate') }}{%- endif -%}"
    "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}"
    "{{ '<start_of_turn>' + role + '\\n' + (first if loop.first else '') }}"
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}{%- endif -%}{{ '<end_of_turn>\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"
)
QWEN_2 = (  # a system text of its own, and a line that ends without a mark
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
THINKING = (  # a prompt that opens a thought, and an empty one before each last answer
    "{%- for message in messages %}{%- if message.role == 'assistant' %}"
    "{%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}"
    "{{- '<|im_start|>assistant\\n' + ('<think>\\n\\n</think>\\n\\n' if loop.last else '') + content + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"
)
PHI_4 = (  # a separator between role and text, the same mark in place of the prompt's
    "{% for message in messages %}{% if message['role'] in ('system', 'user', 'assistant') %}"
    "{{ '<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
DEEPSEEK = (  # bars of another alphabet, no line ends, the end after answers alone
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}"
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '<｜Assistant｜>' + message['content'] + eos_token }}"
    "{% elif message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"
)
COMMAND_R = (  # a mark for the turn and one for the role
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + message['content'].strip() + '<|END_OF_TURN_TOKEN|>' }}"
    "{% elif message['role'] == 'system' %}"
    "{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + message['content'] + '<|END_OF_TURN_TOKEN|>' }}{% else %}"
    "{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>'  + message['content'].strip() + '<|END_OF_TURN_TOKEN|>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"
)
OLMO = (  # roles in plain text, the end after answers, a line end after all but the last
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ '<|system|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'user' %}"
    "{{ '<|user|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'assistant' %}"
    "{{ '<|assistant|>\\n'  + message['content'] + eos_token + ('' if loop.last else '\\n') }}{% endif %}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}"
)
GRANITE = (  # a role between marks, today's date in words in the usual system text
    "{%- if messages[0]['role'] == 'system' %}{%- set told = messages[0]['content'] %}{%- set said = messages[1:] %}"
    "{%- else %}{%- set told = \"Today's Date: \" + strftime_now('%B %d, %Y') + '.\\nYou are an assistant.' %}"
    "{%- set said = messages %}{%- endif %}"
    "{{- '<|start_of_role|>system<|end_of_role|>' + told + '<|end_of_text|>\\n' }}{%- for message in said %}"
    "{{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>\\n' }}"
    "{%- if loop.last and add_generation_prompt %}{{- '<|start_of_role|>assistant<|end_of_role|>' }}{%- endif %}"
    "{%- endfor %}"
)
GENERATION_TAGS = (  # the answers stand in tags that say what is learned
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ '<|im_start|>assistant\\n' }}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}{% else %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
HARMONY = (  # a channel before each answer, another mark after the last one than after those before it
    "{{- '<|start|>system<|message|>Current date: ' + strftime_now('%Y-%m-%d') + '<|end|>' }}{%- for message in messages %}"
    "{%- if message.role == 'system' %}{{- '<|start|>developer<|message|>' + message.content + '<|end|>' }}"
    "{%- elif message.role == 'user' %}{{- '<|start|>user<|message|>' + message.content + '<|end|>' }}{%- else %}"
    "{{- '<|start|>assistant<|channel|>final<|message|>' + message.content + ('<|return|>' if loop.last else '<|end|>') }}"
    "{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"
)
VICUNA = (  # all in plain text but for the end
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + ' ' }}{% endif %}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'] + ' ' }}{% elif message['role'] == 'assistant' %}"
    "{{ 'ASSISTANT: ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)

_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LLAMA = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>")
_MISTRAL = ("<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
_COHERE = ("<BOS_TOKEN>", "<EOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>")
_COHERE_ROLES = ("<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>")
_GRANITE = ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>")
_HARMONY = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>")
_DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")

FAMILIES = {
    "llama 3.1": (LLAMA_31, "bytes", _LLAMA, (), "<|begin_of_text|>", "<|eot_id|>"),
    "mistral 1": (MISTRAL_1, "sentencepiece", ("<s>", "</s>"), (), "<s>", "</s>"),
    "mistral 3": (MISTRAL_3, "sentencepiece", _MISTRAL, (), "<s>", "</s>"),
    "mistral tekken": (MISTRAL_TEKKEN, "bytes", _MISTRAL, (), "<s>", "</s>"),
    "gemma 3": (
        GEMMA_3,
        "no prefix",
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        ("\n\n", "<h1>"),
        "<bos>",
        "<eos>",
    ),
    "qwen 2": (QWEN_2, "bytes", _CHATML, (), None, "<|im_end|>"),
    "thinking": (THINKING, "bytes", _CHATML, ("<think>", "</think>"), None, "<|im_end|>"),
    "phi 4": (PHI_4, "bytes", (*_CHATML, "<|im_sep|>"), (), "<|endoftext|>", "<|im_end|>"),
    "deepseek": (DEEPSEEK, "bytes", _DEEPSEEK, ("<｜User｜>", "<｜Assistant｜>"), *_DEEPSEEK),
    "command r": (COMMAND_R, "bytes", (*_COHERE, *_COHERE_ROLES), (), "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "olmo": (OLMO, "bytes", ("<|endoftext|>",), (), "<|endoftext|>", "<|endoftext|>"),
    "granite": (GRANITE, "bytes", _GRANITE, (), "<|end_of_text|>", "<|end_of_text|>"),
    "generation tags": (GENERATION_TAGS, "bytes", _CHATML, (), None, "<|im_end|>"),
    "harmony": (HARMONY, "bytes", ("<|startoftext|>", *_HARMONY), (), "<|startoftext|>", "<|return|>"),
    "vicuna": (VICUNA, "sentencepiece", ("<s>", "</s>"), (), "<s>", "</s>"),
}
ENDS = {
    "llama 3.1": "<|eot_id|>",
    "mistral 1": "</s>",
    "mistral 3": "</s>",
    "mistral tekken": "</s>",
    "gemma 3": "<end_of_turn>",
    "qwen 2": "<|im_end|>",
    "thinking": "<|im_end|>",
    "phi 4": "<|im_end|>",
    "deepseek": "<｜end▁of▁sentence｜>",
    "command r": "<|END_OF_TURN_TOKEN|>",
    "olmo": "<|endoftext|>",
    "granite": "<|end_of_text|>",
    "generation tags": "<|im_end|>",
    "harmony": "<|return|>",
    "vicuna": "</s>",
}
