package dot

// cutOut keeps the items in the box that is shown alone, with stubs for what they
// are connected to: one for each value that flows in or out.
func (p *page) cutOut() {
	inside := func(t *item) bool { return within(t.box, p.o.only) }
	c := cutter{page: p, stubs: make(map[string]*item), made: make(map[[2]*item]bool)}
	for _, t := range p.items {
		if inside(t) {
			c.items = append(c.items, t)
		}
	}
	for _, e := range p.edges {
		switch from, to := inside(e.from), inside(e.to); {
		case from && to:
			c.edges = append(c.edges, e)
		case to:
			for _, name := range c.names(e) {
				c.join(c.stub("into "+name, name, e.from), e.to)
			}
		case from:
			for _, name := range c.names(e) {
				c.join(e.from, c.stub("out of "+name, name, e.to))
			}
		}
	}
	p.items, p.edges = c.items, c.edges
}

// cutter collects what is left of a page.
type cutter struct {
	*page
	items []*item
	edges []*edge
	stubs map[string]*item
	made  map[[2]*item]bool
}

// names returns what flows along an edge to or from the outside, or else what is
// outside.
func (c *cutter) names(e *edge) []string {
	if len(e.labels) > 0 {
		return e.labels
	}
	outside := e.from
	if within(e.from.box, c.o.only) {
		outside = e.to
	}
	if title := outside.title(c.o); title != "" {
		return []string{title}
	}
	what, _ := outside.lines(c.vs)
	return []string{what}
}

func (c *cutter) stub(key, name string, of *item) *item {
	if c.stubs[key] == nil {
		param := of.fold == "" && of.vertices[0].kind == parameter
		c.stubs[key] = &item{id: len(c.vs) + len(c.stubs), stub: name, backward: of.backward, param: param}
		c.items = append(c.items, c.stubs[key])
	}
	return c.stubs[key]
}

func (c *cutter) join(from, to *item) {
	if ends := [2]*item{from, to}; !c.made[ends] {
		c.made[ends] = true
		c.edges = append(c.edges, &edge{from: from, to: to})
	}
}
