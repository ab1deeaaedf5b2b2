package dot

import (
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// levels returns the boxes around and at a path, the outermost first: for
// stack.blocks.0.norm these are stack, stack.blocks.0 and stack.blocks.0.norm. A
// number belongs to the name before it.
func levels(path string) []string {
	if path == "" {
		return nil
	}
	var all []string
	for at := 0; at <= len(path); {
		end := strings.IndexByte(path[at:], '.')
		if end < 0 {
			end = len(path) - at
		}
		switch box, last := path[:at+end], path[at:at+end]; {
		case box == "": // a name that begins with a dot
		case len(all) > 0 && strings.Trim(last, "0123456789") == "":
			all[len(all)-1] = box
		default:
			all = append(all, box)
		}
		at += end + 1
	}
	return all
}

// parent returns the box around a path, "" for the graph.
func parent(path string) string {
	if all := levels(path); len(all) > 1 {
		return all[len(all)-2]
	}
	return ""
}

// base returns the last part of a path.
func base(path string) string {
	if p := parent(path); p != "" {
		return path[len(p)+1:]
	}
	return path
}

// within reports whether a path is at or below a box.
func within(path, box string) bool {
	return box == "" || path == box || strings.HasPrefix(path, box) && slices.Contains(levels(path), box)
}

// common returns the innermost box that holds both paths.
func common(a, b string) string {
	box := ""
	la, lb := levels(a), levels(b)
	for i := 0; i < len(la) && i < len(lb) && la[i] == lb[i]; i++ {
		box = la[i]
	}
	return box
}

// find returns the box that a path, perhaps shortened to its end, stands for.
func find(boxes []string, path string) (string, error) {
	if path != "" && slices.Contains(boxes, path) {
		return path, nil
	}
	var found []string
	for _, b := range boxes {
		if path != "" && strings.HasSuffix(b, "."+path) {
			found = append(found, b)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		outer := slices.DeleteFunc(slices.Clone(boxes), func(b string) bool { return len(levels(b)) > 2 })
		return "", errors.Errorf("dot: the graph has no part named %q; %s", path, some("there are", outer))
	}
	return "", errors.Errorf("dot: %q is the end of several names; %s", path, some("choose among", found))
}

// some lists the first of several names.
func some(intro string, names []string) string {
	const most = 12
	if len(names) == 0 {
		return "none of its nodes has a dotted name"
	}
	if len(names) > most {
		return intro + " " + strings.Join(names[:most], ", ") + ", and others"
	}
	return intro + " " + strings.Join(names, ", ")
}
