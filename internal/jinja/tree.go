package jinja

// statement is what a template does; it writes to the renderer's output.
type statement interface {
	run(r *renderer, s *scope) error
}

// The statements.
type (
	textOut  struct{ text string }
	printOut struct {
		value expression
		line  int
	}
	group  struct{ body []statement }
	choice struct {
		cases     []caseOf
		otherwise []statement
	}
	caseOf struct {
		test expression
		body []statement
		line int
	}
	loop struct {
		names           []string
		over, when      expression // when is nil for all
		body, otherwise []statement
		line            int
	}
	leave  struct{ again bool } // continue, else break
	assign struct {
		names     []string
		attribute string // of the one name, "" for the name itself
		value     expression
		body      []statement // whose output is the value if there is no expression
		line      int
	}
	macro struct {
		name       string
		parameters []parameter
		body       []statement
		line       int
	}
)

// expression is what has a value.
type expression interface {
	value(r *renderer, s *scope) (any, error)
}

// parameter is a name with a value, or nil.
type parameter struct {
	name  string
	value expression
}

// arguments are those of a call, a filter or a test.
type arguments struct {
	values []expression
	named  []parameter
}

// The expressions.
type (
	literal     struct{ v any }
	variable    struct{ name string }
	listOf      struct{ items []expression }
	dictionary  struct{ keys, values []expression }
	conditional struct{ test, then, otherwise expression }
	logic       struct {
		or   bool
		a, b expression
	}
	negation   struct{ of expression }
	comparison struct {
		first expression
		rest  []compared
	}
	compared struct {
		sign string
		with expression
	}
	operation struct {
		sign string
		a, b expression
		line int
	}
	attribute struct {
		of   expression
		name string
		line int
	}
	subscript struct {
		of    expression
		parts [3]expression // index, or begin, end and step of a slice; nil for none
		slice bool
		line  int
	}
	call struct {
		of        expression
		arguments arguments
		line      int
	}
	filter struct {
		of        expression
		name      string
		arguments arguments
		line      int
	}
	test struct {
		of        expression
		not       bool
		name      string
		arguments arguments
		line      int
	}
)
