package warrenctl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
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

// writeJSON writes one object, or several as a List, in the form that apply reads. It writes one after the other, since
// all together are many times larger than the objects.
func writeJSON(w io.Writer, objects []meta.Object, single bool) error {
	if single {
		return indented(w, objects[0], "", "\n")
	}
	begin, end := "{\n  \"apiVersion\": %q,\n  \"items\": [", "],\n  \"kind\": %q\n}\n"
	if len(objects) > 0 {
		end = "\n  " + end
	}
	out := bufio.NewWriterSize(w, 64<<10)
	_, _ = fmt.Fprintf(out, begin, meta.APIVersion)
	for i, o := range objects {
		comma := ","
		if i == len(objects)-1 {
			comma = ""
		}
		_, _ = out.WriteString("\n    ")
		if err := indented(out, o, "    ", comma); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(out, end, meta.ListKind)
	return out.Flush()
}

func indented(w io.Writer, o meta.Object, prefix, after string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	if err := enc.Encode(o); err != nil {
		return err
	}
	_, err := w.Write(append(bytes.TrimSuffix(b.Bytes(), []byte("\n")), after...))
	return err
}
