// Package jinja renders the Jinja templates with which models say how the
// messages of a conversation become a prompt (chat_template of a
// tokenizer_config.json). It has what such templates use, with the settings of
// transformers: trim_blocks, lstrip_blocks, loop controls and an immutable
// sandbox.
//
//   - Statements: if, for (with a condition, else, unpacking and loop), set
//     (also of a namespace's attribute and of a block), macro, break, continue,
//     generation.
//   - Expressions: literals, lists, tuples, dictionaries, attributes, subscripts
//     and slices, arithmetic, ~, comparisons, in, and, or, not, if-else, filters,
//     tests, calls, and Python's methods of strings and dictionaries.
//
// Anything else, such as include or import, is an error that names the line.
// Templates come from elsewhere: the work, the output and the nesting of one are
// bounded, and it reaches nothing but the values that it is given.
package jinja
