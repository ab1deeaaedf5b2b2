package jinja

import (
	"slices"

	"github.com/pkg/errors"
)

// maxNesting bounds how deep expressions and statements are nested.
const maxNesting = 100

// maxSource bounds the size of a template, and with it how long a chain of
// operators and attributes can be.
const maxSource = 1 << 20

// Template is a template that was read.
type Template struct{ body []statement }

// Parse reads a template. Errors name the line.
func Parse(source string) (*Template, error) {
	if len(source) > maxSource {
		return nil, errors.Errorf("a template of %d bytes; it may have %d", len(source), maxSource)
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	body, closed, err := p.body()
	if err == nil && closed != "" {
		err = p.wrong("%s without its beginning", closed)
	}
	return &Template{body}, err
}

// parser reads tokens.
type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int // around what is read
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

// wrong returns an error at the current line.
func (p *parser) wrong(format string, args ...any) error {
	return errors.Errorf("line %d: "+format, append([]any{p.peek().line}, args...)...)
}

// take takes a sign or a name if it is next.
func (p *parser) take(value string) bool {
	if t := p.peek(); (t.kind == sign || t.kind == name) && t.value == value {
		p.at++
		return true
	}
	return false
}

func (p *parser) want(value string) error {
	if !p.take(value) {
		return p.wrong("%q where %q is expected", p.peek().value, value)
	}
	return nil
}

func (p *parser) wantName() (string, error) {
	if t := p.peek(); t.kind != name {
		return "", p.wrong("%q where a name is expected", t.value)
	}
	return p.next().value, nil
}

func (p *parser) wantEnd(k kind) error {
	if t := p.peek(); t.kind != k {
		return p.wrong("%q where the tag should end", t.value)
	}
	p.at++
	return nil
}

// nest counts a level of nesting until the function that it returns is called.
func (p *parser) nest() (func(), error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.wrong("more than %d levels of nesting", maxNesting)
	}
	return func() { p.depth-- }, nil
}

// body reads statements up to the end, or to a block that belongs to one around
// them, whose name it returns; that block's name has been read.
func (p *parser) body() (list []statement, closed string, err error) {
	leave, err := p.nest()
	if err != nil {
		return nil, "", err
	}
	defer leave()
	for {
		t := p.next()
		switch t.kind {
		case end:
			return list, "", nil
		case text:
			list = append(list, textOut{t.value})
		case printBegin:
			e, err := p.expression()
			if err != nil {
				return nil, "", err
			}
			list = append(list, printOut{e, t.line})
			if err := p.wantEnd(printEnd); err != nil {
				return nil, "", err
			}
		case blockBegin:
			word, err := p.wantName()
			if err != nil {
				return nil, "", err
			}
			if slices.Contains([]string{"elif", "else", "endif", "endfor", "endset", "endmacro", "endgeneration"}, word) {
				return list, word, nil
			}
			s, err := p.statement(word, t.line)
			if err != nil {
				return nil, "", err
			}
			list = append(list, s)
		}
	}
}

// statement reads a block of that name.
func (p *parser) statement(word string, line int) (statement, error) {
	switch word {
	case "if":
		return p.ifBlock(line)
	case "for":
		return p.forBlock(line)
	case "set":
		return p.set(line)
	case "macro":
		return p.macro(line)
	case "generation":
		if err := p.wantEnd(blockEnd); err != nil {
			return nil, err
		}
		body, err := p.until("endgeneration")
		return group{body}, err
	case "break", "continue":
		if p.loops == 0 {
			return nil, p.wrong("%s outside of a loop", word)
		}
		return leave{word == "continue"}, p.wantEnd(blockEnd)
	}
	return nil, p.wrong("the block %q is not supported", word)
}

// until reads statements up to the block that closes them.
func (p *parser) until(closing string) ([]statement, error) {
	body, closed, err := p.body()
	if err == nil && closed != closing {
		err = p.wrong("%q where %q is expected", closed, closing)
	}
	if err == nil {
		err = p.wantEnd(blockEnd)
	}
	return body, err
}

func (p *parser) ifBlock(line int) (statement, error) {
	var s choice
	for {
		test, err := p.expression()
		if err == nil {
			err = p.wantEnd(blockEnd)
		}
		if err != nil {
			return nil, err
		}
		body, closed, err := p.body()
		if err != nil {
			return nil, err
		}
		s.cases = append(s.cases, caseOf{test, body, line})
		line = p.peek().line
		switch closed {
		case "elif":
			continue
		case "else":
			if err := p.wantEnd(blockEnd); err != nil {
				return nil, err
			}
			s.otherwise, err = p.until("endif")
			return s, err
		case "endif":
			return s, p.wantEnd(blockEnd)
		}
		return nil, p.wrong("%q where endif is expected", closed)
	}
}

// names reads names with commas between them.
func (p *parser) names() (names []string, err error) {
	round := p.take("(")
	for {
		n, err := p.wantName()
		if err != nil {
			return nil, err
		}
		names = append(names, n)
		if !p.take(",") {
			break
		}
	}
	if round {
		err = p.want(")")
	}
	return names, err
}

func (p *parser) forBlock(line int) (statement, error) {
	s := loop{line: line}
	var err error
	if s.names, err = p.names(); err != nil {
		return nil, err
	}
	if err = p.want("in"); err != nil {
		return nil, err
	}
	if s.over, err = p.or(); err != nil {
		return nil, err
	}
	if p.take("if") {
		if s.when, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.take("recursive") {
		return nil, p.wrong("recursive loops are not supported")
	}
	if err = p.wantEnd(blockEnd); err != nil {
		return nil, err
	}
	p.loops++
	body, closed, err := p.body()
	p.loops--
	if err != nil {
		return nil, err
	}
	s.body = body
	switch closed {
	case "else":
		if err = p.wantEnd(blockEnd); err == nil {
			s.otherwise, err = p.until("endfor")
		}
		return s, err
	case "endfor":
		return s, p.wantEnd(blockEnd)
	}
	return nil, p.wrong("%q where endfor is expected", closed)
}

func (p *parser) set(line int) (statement, error) {
	names, err := p.names()
	if err != nil {
		return nil, err
	}
	s := assign{names: names, line: line}
	if p.take(".") {
		if s.attribute, err = p.wantName(); err != nil {
			return nil, err
		}
	}
	if !p.take("=") {
		if err := p.wantEnd(blockEnd); err != nil {
			return nil, err
		}
		s.body, err = p.until("endset")
		return s, err
	}
	if s.value, err = p.tuple(); err != nil {
		return nil, err
	}
	return s, p.wantEnd(blockEnd)
}

// tuple reads an expression, or several with commas between them.
func (p *parser) tuple() (expression, error) {
	first, err := p.expression()
	if err != nil || !p.take(",") {
		return first, err
	}
	all := []expression{first}
	for p.peek().kind != blockEnd {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		if all = append(all, e); !p.take(",") {
			break
		}
	}
	return listOf{all}, nil
}

func (p *parser) macro(line int) (statement, error) {
	called, err := p.wantName()
	if err == nil {
		err = p.want("(")
	}
	m := macro{name: called, line: line}
	for err == nil && !p.take(")") {
		var a parameter
		if a.name, err = p.wantName(); err != nil {
			return nil, err
		}
		if p.take("=") {
			if a.value, err = p.expression(); err != nil {
				return nil, err
			}
		}
		if n := len(m.parameters); a.value == nil && n > 0 && m.parameters[n-1].value != nil {
			return nil, p.wrong("the parameter %s without a default follows one with a default", a.name)
		}
		m.parameters = append(m.parameters, a)
		if !p.take(",") {
			err = p.want(")")
			break
		}
	}
	if err == nil {
		err = p.wantEnd(blockEnd)
	}
	if err != nil {
		return nil, err
	}
	loops := p.loops
	p.loops = 0
	m.body, err = p.until("endmacro")
	p.loops = loops
	return m, err
}
