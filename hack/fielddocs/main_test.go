package main

import (
	"os"
	"testing"
)

func TestCurrent(t *testing.T) {
	want, err := generate("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../apis/v1/fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("apis/v1/fields.txt is not current; run: go generate ./apis/v1")
	}
}
