package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"warren.io/warren/apis/meta"
)

// YAML writes objects as documents that Read reads back as the same, fields in the order of the API.
func YAML(objects ...meta.Object) ([]byte, error) {
	var b bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		data, err := meta.Encode(o) // JSON knows the names and forms of all fields
		if err != nil {
			return nil, err
		}
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2)
		if err := enc.Encode(fromJSON(data)); err != nil {
			return nil, fmt.Errorf("encode %s as YAML: %w", o.Key(), err)
		}
	}
	return b.Bytes(), nil
}

// fromJSON makes a node of valid JSON, with lines. YAML's own reading of JSON is close, but not the same: it knows no
// halves of characters in \u escapes and refuses some characters.
func fromJSON(data []byte) *yaml.Node {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	r := &jsonReader{data: data, dec: dec, line: 1}
	return r.node()
}

type jsonReader struct {
	data []byte
	dec  *json.Decoder
	at   int64 // lines are counted up to here
	line int
}

// token returns the next token as a node without content; the text was checked before.
func (r *jsonReader) token() *yaml.Node {
	t, _ := r.dec.Token()
	next := r.dec.InputOffset()
	r.line += bytes.Count(r.data[r.at:next], []byte("\n"))
	r.at = next
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line}
	switch t := t.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
	case string:
		n.Tag, n.Value = "!!str", t
		if strings.ContainsFunc(t, special) {
			n.Style = yaml.DoubleQuotedStyle
		}
	case json.Number:
		n.Tag, n.Value = "!!float", t.String()
		if !strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!int"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n
}

// special characters do not survive in YAML without quotes.
func special(c rune) bool {
	return c < ' ' && c != '\n' || c >= 0x7f && c <= 0xa0 || c == 0x2028 || c == 0x2029 || c == 0xfeff
}

func (r *jsonReader) node() *yaml.Node {
	n := r.token()
	if n.Kind == yaml.ScalarNode {
		return n
	}
	for r.dec.More() {
		n.Content = append(n.Content, r.node()) // keys of a map and their values come in turn
	}
	_, _ = r.dec.Token() // the closing bracket
	return n
}
