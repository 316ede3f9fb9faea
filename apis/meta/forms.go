package meta

// Form implements Formed.
func (CPU) Form() Form {
	return Form{Name: "CPU", Schema: amount(`^[0-9]+(\.[0-9]{1,9})?m?$`)}
}

// Form implements Formed.
func (Bytes) Form() Form {
	return Form{Name: "size", Schema: amount(`^[0-9]+(\.[0-9]{1,9})?(Ki|Mi|Gi|Ti|k|M|G|T)?$`)}
}

// Form implements Formed.
func (Duration) Form() Form {
	return Form{Name: "duration", Schema: map[string]any{"anyOf": []any{
		map[string]any{"type": "string", "pattern": `^\+?(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)$`},
		map[string]any{"const": 0},
	}}}
}

// amount is a text or a number; the pattern holds for texts only.
func amount(pattern string) map[string]any {
	return map[string]any{"type": []string{"string", "number"}, "pattern": pattern, "minimum": 0}
}

// Bounds implements Bounded.
func (*Metadata) Bounds() map[string]map[string]any {
	return map[string]map[string]any{
		"name":        {"pattern": nameForm.String(), "maxLength": MaxName},
		"labels":      LabelBounds(),
		"annotations": {"propertyNames": map[string]any{"pattern": labelKey.String(), "maxLength": MaxLabelKey}},
	}
}

// LabelBounds are those of a map of labels.
func LabelBounds() map[string]any {
	return map[string]any{
		"maxProperties":        MaxLabels,
		"propertyNames":        map[string]any{"pattern": labelKey.String(), "maxLength": MaxLabelKey},
		"additionalProperties": map[string]any{"type": "string", "pattern": labelForm.String(), "maxLength": MaxLabelValue},
	}
}
