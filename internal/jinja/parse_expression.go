package jinja

import (
	"slices"
	"strconv"
)

// expression reads a whole expression: a if b else c.
func (p *parser) expression() (expression, error) {
	leave, err := p.nest()
	if err != nil {
		return nil, err
	}
	defer leave()
	e, err := p.or()
	for err == nil && p.take("if") {
		c := conditional{then: e}
		if c.test, err = p.or(); err != nil {
			return nil, err
		}
		if p.take("else") {
			c.otherwise, err = p.expression()
		}
		e = c
	}
	return e, err
}

func (p *parser) or() (expression, error) { return p.logical("or", p.and) }

func (p *parser) and() (expression, error) { return p.logical("and", p.not) }

func (p *parser) logical(word string, operand func() (expression, error)) (expression, error) {
	e, err := operand()
	for err == nil && p.take(word) {
		var b expression
		if b, err = operand(); err == nil {
			e = logic{word == "or", e, b}
		}
	}
	return e, err
}

func (p *parser) not() (expression, error) {
	if !p.take("not") {
		return p.comparison()
	}
	leave, err := p.nest()
	if err != nil {
		return nil, err
	}
	defer leave()
	e, err := p.not()
	return negation{e}, err
}

func (p *parser) comparison() (expression, error) {
	e, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	chain := comparison{first: e}
	for {
		word := p.peek().value
		switch {
		case p.peek().kind == str || p.peek().kind == text:
			word = ""
		case word == "not" && p.tokens[min(p.at+1, len(p.tokens)-1)].value == "in":
			p.at++
			word = "not in"
		}
		if !slices.Contains([]string{"==", "!=", "<", ">", "<=", ">=", "in", "not in"}, word) {
			break
		}
		p.at++
		b, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		chain.rest = append(chain.rest, compared{word, b})
	}
	if len(chain.rest) == 0 {
		return e, nil
	}
	return chain, nil
}

// levels are the operators with two operands, those that bind least first.
var levels = [][]string{{"+", "-"}, {"~"}, {"*", "/", "//", "%"}}

func (p *parser) binary(level int) (expression, error) {
	if level == len(levels) {
		return p.unary()
	}
	e, err := p.binary(level + 1)
	for err == nil && p.peek().kind == sign && slices.Contains(levels[level], p.peek().value) {
		t := p.next()
		var b expression
		if b, err = p.binary(level + 1); err == nil {
			e = operation{t.value, e, b, t.line}
		}
	}
	return e, err
}

// unary reads an operand with what follows it. Filters and tests apply to it
// with its sign.
func (p *parser) unary() (expression, error) {
	e, err := p.signed()
	if err != nil {
		return nil, err
	}
	return p.follow(e, true)
}

// signed reads an operand with its signs, attributes, subscripts and calls.
func (p *parser) signed() (expression, error) {
	t := p.peek()
	if t.kind != sign || t.value != "-" && t.value != "+" {
		e, err := p.primary()
		if err != nil {
			return nil, err
		}
		return p.follow(e, false)
	}
	p.at++
	leave, err := p.nest()
	if err != nil {
		return nil, err
	}
	defer leave()
	e, err := p.signed()
	return operation{t.value, literal{int64(0)}, e, t.line}, err
}

// follow reads what may follow an operand: attributes, subscripts and calls, and
// if asked for filters and tests.
func (p *parser) follow(e expression, filtered bool) (expression, error) {
	for {
		t := p.peek()
		var err error
		switch {
		case p.take("."):
			var n string
			if p.peek().kind == integer { // a.0
				n = p.next().value
			} else if n, err = p.wantName(); err != nil {
				return nil, err
			}
			e = attribute{e, n, t.line}
		case p.take("["):
			e, err = p.subscript(e, t.line)
		case p.take("("):
			c := call{of: e, line: t.line}
			c.arguments, err = p.arguments()
			e = c
		case filtered && p.take("|"):
			f := filter{of: e, line: t.line}
			if f.name, err = p.wantName(); err == nil && p.take("(") {
				f.arguments, err = p.arguments()
			}
			if err == nil && filters[f.name] == nil {
				err = p.wrong("the filter %q is not supported", f.name)
			}
			e = f
		case filtered && t.kind == name && p.take("is"):
			e, err = p.test(e, t.line)
		default:
			return e, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// subscript reads an index or a slice.
func (p *parser) subscript(of expression, line int) (expression, error) {
	s := subscript{of: of, line: line}
	for i := range s.parts {
		if t := p.peek(); t.kind != sign || t.value != ":" && t.value != "]" {
			e, err := p.expression()
			if err != nil {
				return nil, err
			}
			s.parts[i] = e
		}
		if !p.take(":") {
			break
		}
		s.slice = true
	}
	if !s.slice && s.parts[0] == nil {
		return nil, p.wrong("a subscript is empty")
	}
	return s, p.want("]")
}

// arguments reads what is between the parentheses of a call.
func (p *parser) arguments() (a arguments, err error) {
	for !p.take(")") {
		named := ""
		if p.peek().kind == name && p.tokens[p.at+1].kind == sign && p.tokens[p.at+1].value == "=" {
			named = p.next().value
			p.at++
		}
		e, err := p.expression()
		if err != nil {
			return a, err
		}
		if named == "" {
			a.values = append(a.values, e)
		} else {
			a.named = append(a.named, parameter{named, e})
		}
		if !p.take(",") {
			return a, p.want(")")
		}
	}
	return a, nil
}

// test reads what follows is.
func (p *parser) test(of expression, line int) (expression, error) {
	t := test{of: of, not: p.take("not"), line: line}
	var err error
	if t.name, err = p.wantName(); err != nil {
		return nil, err
	}
	if tests[t.name] == nil {
		return nil, p.wrong("the test %q is not supported", t.name)
	}
	switch next := p.peek(); {
	case p.take("("):
		t.arguments, err = p.arguments()
	case next.kind == str || next.kind == integer || next.kind == sign && (next.value == "[" || next.value == "{") || next.kind == name && !slices.Contains([]string{"and", "or", "else", "if", "is", "in", "not"}, next.value):
		var e expression
		if e, err = p.primary(); err == nil {
			e, err = p.follow(e, false)
		}
		t.arguments.values = []expression{e}
	}
	return t, err
}

// primary reads an operand.
func (p *parser) primary() (expression, error) {
	t := p.next()
	switch {
	case t.kind == str:
		value := t.value
		for p.peek().kind == str {
			value += p.next().value
		}
		return literal{value}, nil
	case t.kind == integer:
		n, err := strconv.ParseInt(t.value, 10, 64)
		if err != nil {
			return nil, p.wrong("%s is too large", t.value)
		}
		return literal{n}, nil
	case t.kind == decimal:
		x, err := strconv.ParseFloat(t.value, 64)
		if err != nil {
			return nil, p.wrong("%s is too large", t.value)
		}
		return literal{x}, nil
	case t.kind == name:
		switch t.value {
		case "true", "True":
			return literal{true}, nil
		case "false", "False":
			return literal{false}, nil
		case "none", "None":
			return literal{nil}, nil
		}
		return variable{t.value}, nil
	case t.kind == sign && t.value == "[":
		all, err := p.list("]")
		return listOf{all}, err
	case t.kind == sign && t.value == "{":
		return p.dictionary()
	case t.kind == sign && t.value == "(":
		return p.round()
	}
	p.at--
	return nil, p.wrong("%q where an expression is expected", t.value)
}

// round reads an expression in parentheses, or a tuple.
func (p *parser) round() (expression, error) {
	if p.take(")") {
		return listOf{}, nil
	}
	first, err := p.expression()
	if err != nil || p.take(")") {
		return first, err
	}
	if err := p.want(","); err != nil {
		return nil, err
	}
	rest, err := p.list(")")
	return listOf{append([]expression{first}, rest...)}, err
}

func (p *parser) list(closing string) (all []expression, err error) {
	for !p.take(closing) {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		if all = append(all, e); !p.take(",") {
			return all, p.want(closing)
		}
	}
	return all, nil
}

func (p *parser) dictionary() (expression, error) {
	var d dictionary
	for !p.take("}") {
		k, err := p.expression()
		if err == nil {
			err = p.want(":")
		}
		if err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.keys, d.values = append(d.keys, k), append(d.values, v)
		if !p.take(",") {
			return d, p.want("}")
		}
	}
	return d, nil
}
