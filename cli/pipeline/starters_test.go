package pipeline_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bldst/cli/pipeline"

	"github.com/goccy/go-yaml"
)

func TestEveryStarterIsAPipeline(t *testing.T) {
	t.Parallel()
	s := schema(t)
	for _, starter := range pipeline.Starters() {
		dir := t.TempDir()
		names, err := pipeline.Write(starter, dir, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pipeline.Read(filepath.Join(dir, "pipeline.yaml")); err != nil {
			t.Errorf("%s: %v", starter, err)
		}
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if name == "pipeline.yaml" && !fits(t, s, string(b)) {
				t.Errorf("%s: the schema refuses its pipeline", starter)
			}
			var any any
			if ext := filepath.Ext(name); (ext == ".yml" || ext == ".yaml") && yaml.Unmarshal(b, &any) != nil {
				t.Errorf("%s: %s is no YAML", starter, name)
			}
			if name != "pipeline.yaml" && starter != "packer" && !strings.Contains(string(b), "bldst run") {
				t.Errorf("%s: %s does not run the pipeline", starter, name)
			}
		}
		if _, err := pipeline.Write(starter, dir, false); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s was written over: %v", starter, err)
		}
	}
}
