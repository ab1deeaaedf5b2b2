package dot

import "slices"

// item is something that is drawn: a node of the graph, a folded box, or, at the
// edge of a part that is shown alone, what lies outside.
type item struct {
	id       int
	box      string // where it is drawn
	fold     string // the box that is folded, "" for a node
	stub     string // what an item outside is called
	backward bool
	vertices []*vertex // one, if it is a node; none for what lies outside
	param    bool      // of what lies outside: a parameter
}

// edge leads from an item to one that reads it.
type edge struct {
	from, to *item
	labels   []string
}

// page is what is drawn of a graph.
type page struct {
	o     *options
	vs    []*vertex
	boxes []string // in order of appearance
	open  map[string]bool
	items []*item
	edges []*edge
}

func newPage(vs []*vertex, o *options) (*page, error) {
	p := &page{o: o, vs: vs, open: make(map[string]bool)}
	for _, v := range vs {
		for _, box := range levels(v.home) {
			if !slices.Contains(p.boxes, box) {
				p.boxes = append(p.boxes, box)
			}
		}
	}
	if err := p.unfold(); err != nil {
		return nil, err
	}
	of := p.makeItems()
	p.connect(of)
	if o.elide {
		p.elideReads()
	}
	if o.only != "" {
		p.cutOut()
	}
	return p, nil
}

// unfold decides which boxes are open.
func (p *page) unfold() error {
	wanted := p.o.open
	if p.o.only != "" {
		wanted = []string{p.o.only}
	}
	var paths []string
	for _, path := range wanted {
		box, err := find(p.boxes, path)
		if err != nil {
			return err
		}
		paths = append(paths, box)
	}
	if p.o.only != "" {
		p.o.only = paths[0]
	}
	layers := p.layers()
	for _, box := range p.boxes {
		open := p.o.depth == 0 && p.o.only == "" || len(levels(box)) < p.o.depth && !layers[box]
		for _, path := range paths {
			open = open || within(path, box) || within(box, path) && !layers[box]
		}
		p.open[box] = open
	}
	return nil
}

// layers returns the boxes around one operation and its parameters.
func (p *page) layers() map[string]bool {
	ops, params := make(map[string]int), make(map[string]int)
	for _, v := range p.vs {
		for _, box := range levels(v.home) {
			switch {
			case v.kind == operation && !v.trivial() && !v.backward:
				ops[box]++
			case v.kind == parameter:
				params[box]++
			}
		}
	}
	layers := make(map[string]bool)
	for _, box := range p.boxes {
		layers[box] = ops[box] <= 1 && params[box] > 0
	}
	return layers
}

// makeItems returns the item of every vertex, nil for hidden ones.
func (p *page) makeItems() []*item {
	folds := make(map[string]*item)
	of := make([]*item, len(p.vs))
	for i, v := range p.vs {
		if v.hidden {
			continue
		}
		fold := ""
		for _, box := range levels(v.home) {
			if !p.open[box] {
				fold = box
				break
			}
		}
		key := fold
		if v.backward {
			key = "∂" + fold
		}
		switch {
		case fold == "":
			of[i] = &item{box: v.home, backward: v.backward}
		case folds[key] == nil:
			of[i] = &item{box: parent(fold), fold: fold, backward: v.backward}
			folds[key] = of[i]
		default:
			of[i] = folds[key]
		}
		if of[i].vertices == nil {
			of[i].id = i
			p.items = append(p.items, of[i])
		}
		of[i].vertices = append(of[i].vertices, v)
	}
	return of
}

// source is the origin of a value, and its label in a box.
type source struct {
	vertex      int
	label, home string
}

// part is the part of the graph that an item is of: the box that is folded, or the
// one that it is in.
func (t *item) part() string {
	if t.fold != "" {
		return t.fold
	}
	return t.box
}

// elideReads leaves out, of the edges from the forward pass to a node of the
// backward pass, those from other parts than the one that it differentiates, if
// there are any from there: what else it reads can be seen from that part, and a
// hundred edges across a page hide the rest.
func (p *page) elideReads() {
	crosses := func(e *edge) bool { return e.to.backward && !e.from.backward }
	own := func(e *edge) bool { return within(e.from.part(), e.to.part()) }
	served := make(map[*item]bool)
	for _, e := range p.edges {
		if crosses(e) && own(e) {
			served[e.to] = true
		}
	}
	p.edges = slices.DeleteFunc(p.edges, func(e *edge) bool { return crosses(e) && served[e.to] && !own(e) })
}

// sources returns the sources that a vertex stands for: itself or, if it is
// hidden, the vertices that it reads.
func (p *page) sources(i int) []source {
	v := p.vs[i]
	label := p.o.symbol(v.name)
	if !v.hidden {
		return []source{{i, label, v.home}}
	}
	var all []source
	for _, k := range v.in {
		for _, s := range p.sources(k) {
			// Of two names, the one given further inside tells more.
			if label != "" && (s.label == "" || len(levels(v.home)) >= len(levels(s.home))) {
				s.label, s.home = label, v.home
			}
			all = append(all, s)
		}
	}
	return all
}

// connect makes the edges between items, one for all that leads from one to the
// other.
func (p *page) connect(of []*item) {
	type pair struct{ from, to *item }
	made := make(map[pair]*edge)
	for i, v := range p.vs {
		if v.hidden {
			continue
		}
		for _, k := range v.in {
			for _, s := range p.sources(k) {
				ends := pair{of[s.vertex], of[i]}
				if ends.from == ends.to {
					continue
				}
				e := made[ends]
				if e == nil {
					e = &edge{from: ends.from, to: ends.to}
					made[ends] = e
					p.edges = append(p.edges, e)
				}
				if s.label != "" && s.label != ends.from.title(p.o) && !slices.Contains(e.labels, s.label) {
					e.labels = append(e.labels, s.label)
				}
			}
		}
	}
}
