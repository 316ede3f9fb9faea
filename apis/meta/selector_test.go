package meta

import "testing"

func TestSelector(t *testing.T) {
	labels := map[string]string{"app": "web", "example.org/tier": "front", "empty": ""}
	tests := map[string]bool{
		"": true, "  ": true, "app": true, "!app": false, "app=web": true, "app==web": true, "app = web": true, "app=db": false,
		"app!=web": false, "app!=db": true, "none!=x": true, "none": false, "!none": true, "empty=": true, "empty": true,
		"app in (db,web)": true, "app in (db, web )": true, "app in (db)": false, "none in (a)": false,
		"app notin (db)": true, "app notin (web)": false, "none notin (a)": true,
		"example.org/tier=front,app=web": true, "example.org/tier=front,app=db": false, "app in (a,web),!none,empty": true,
	}
	for text, want := range tests {
		s, err := ParseSelector(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if s.Matches(labels) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
	for _, text := range []string{",", "a b", "a=b=c", "a in b", "a in (", "=x", "a in (b", "!", "a,,b", "a in (b))"} {
		if _, err := ParseSelector(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"a=b", "a in (b,c),!d", "((", "a notin ()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSelector(text); err == nil {
			s.Matches(map[string]string{"a": "b"})
		}
	})
}
