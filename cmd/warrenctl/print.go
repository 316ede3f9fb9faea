package warrenctl

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"warren.io/warren/apis/meta"
)

// table is rows of cells; the first row is the head.
type table [][]string

// gap is between two columns.
const gap = "   "

// print writes the table with aligned columns and no blanks at the end of lines.
func (t table) print(w io.Writer) { t.printAligned(w, t.widths()) }

func (t table) widths() []int {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(cell)))
		}
	}
	return widths
}

func (t table) printAligned(w io.Writer, widths []int) {
	var b strings.Builder
	for _, row := range t {
		var line strings.Builder
		for i, cell := range row {
			cell = clean(cell)
			line.WriteString(cell)
			if pad := 0; i < len(row)-1 {
				if i < len(widths) {
					pad = max(widths[i]-utf8.RuneCountInString(cell), 0)
				}
				line.WriteString(strings.Repeat(" ", pad) + gap)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, _ = io.WriteString(w, b.String())
}

// clean keeps a cell in one line and terminals safe from what tasks and others wrote; an empty cell is a dash.
func clean(cell string) string {
	cell = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, cell)
	if cell = strings.TrimRight(cell, " "); cell == "" {
		return "-"
	}
	return cell
}

// head and row are those of a kind's table; prefix is put before names, as in service/web.
func head(k *meta.Kind, wide bool) []string {
	out := []string{"NAME"}
	for _, c := range k.Columns {
		if wide || !c.Wide {
			out = append(out, strings.ToUpper(c.Name))
		}
	}
	return out
}

func row(k *meta.Kind, o meta.Object, prefix string, wide bool, now time.Time) []string {
	out := []string{prefix + o.Meta().Name}
	for _, c := range k.Columns {
		if wide || !c.Wide {
			out = append(out, c.Value(o, now))
		}
	}
	return out
}

// sorted puts the objects of one kind in the order in which that kind is shown.
func sorted(k *meta.Kind, objects []meta.Object) []meta.Object {
	out := slices.Clone(objects)
	slices.SortStableFunc(out, func(a, b meta.Object) int {
		switch {
		case k.Sort != nil && k.Sort(a, b):
			return -1
		case k.Sort != nil && k.Sort(b, a):
			return 1
		case k.Sort != nil:
			return 0
		}
		return strings.Compare(a.Meta().Name, b.Meta().Name)
	})
	return out
}

// listOf is the document that holds several.
func listOf(objects []meta.Object) map[string]any {
	return map[string]any{"apiVersion": meta.APIVersion, "kind": meta.ListKind, "items": append([]meta.Object{}, objects...)}
}

// toJSON writes one object, or several as a List, in the form that apply reads.
func toJSON(objects []meta.Object, single bool) ([]byte, error) {
	var v any = objects
	if single {
		v = objects[0]
	} else {
		v = listOf(objects)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}
