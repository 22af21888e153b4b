//go:build cdk

// Command deploy applies what `make synth` made: it puts the files of the
// assembly where CDK's bootstrap keeps them and applies the template by a
// change set. It does what `cdk deploy` does for this app, without npm, to AWS
// and to emulators alike.
//
//	deploy diff    ASSEMBLY STACK    what would change
//	deploy apply   ASSEMBLY STACK    change it; prints the outputs as JSON
//	deploy destroy STACK             delete it
//	deploy outputs STACK             print the outputs as JSON
//	deploy check   STACK             only see that we may, before anything is made
//	deploy adopt   TABLE STACK       prepare a table to take the place of the stack's own; prints the settings
//	deploy restore TIME TABLE STACK  the same of a new table with what the stack's held at that time
//
// Where and as whom is the business of the usual variables and profiles of AWS;
// AWS_ENDPOINT_URL names an emulator. DEPLOY_WITHOUT names the types of resources
// that an emulator does not know, separated by commas; they are left out there.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "deploy:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: deploy diff|apply ASSEMBLY STACK, deploy destroy|outputs|check STACK, deploy adopt TABLE STACK, or deploy restore TIME TABLE STACK")

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	t, err := open(ctx, args[len(args)-1])
	if err != nil {
		return err
	}
	switch verb := args[0]; {
	case verb == "destroy" && len(args) == 2:
		return t.destroy(ctx)
	case verb == "outputs" && len(args) == 2:
		return t.print(ctx)
	case verb == "check" && len(args) == 2:
		return t.bucket(ctx, t.fill(bootstrapBucket))
	case verb == "adopt" && len(args) == 3:
		return t.adopt(ctx, args[1])
	case verb == "restore" && len(args) == 4:
		return t.restore(ctx, args[1], args[2])
	case verb == "diff" && len(args) == 3:
		return t.diff(ctx, args[1])
	case verb == "apply" && len(args) == 3:
		return t.apply(ctx, args[1])
	}
	return errUsage
}

// diff shows what apply would change, and changes nothing.
func (t *target) diff(ctx context.Context, assembly string) error {
	cs, err := t.prepare(ctx, assembly)
	if err != nil || cs == nil {
		return err
	}
	cs.show(os.Stdout)
	return errors.Join(cs.refuse(), t.discard(ctx, cs))
}

// apply changes the stack. What it replaces keeps serving until the change is
// complete; a change that fails is rolled back.
func (t *target) apply(ctx context.Context, assembly string) error {
	cs, err := t.prepare(ctx, assembly)
	if err != nil {
		return err
	}
	if cs != nil {
		if err := cs.refuse(); err != nil {
			return errors.Join(err, t.discard(ctx, cs))
		}
		if err := t.execute(ctx, cs); err != nil {
			return err
		}
	}
	return t.print(ctx)
}

// prepare uploads the assembly and makes a change set; nil when there is
// nothing to change.
func (t *target) prepare(ctx context.Context, assembly string) (*changeSet, error) {
	a, err := readAssembly(assembly, t.stack)
	if err != nil {
		return nil, err
	}
	if t.emulated {
		if err := a.without(os.Getenv("DEPLOY_WITHOUT")); err != nil {
			return nil, err
		}
	}
	if err := t.upload(ctx, a); err != nil {
		return nil, err
	}
	return t.propose(ctx, a)
}

// print writes the outputs of the stack to standard output.
func (t *target) print(ctx context.Context) error {
	st, err := t.describe(ctx)
	if err != nil {
		return err
	}
	if st == nil {
		return fmt.Errorf("there is no stack %s; make deploy makes it", t.stack)
	}
	out := map[string]string{}
	for _, o := range st.Outputs {
		out[*o.OutputKey] = *o.OutputValue
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

// say tells a person what is going on.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// An assembly is what CDK has made of the app.
type assembly struct {
	dir      string
	Files    map[string]asset `json:"files"`
	template asset
}

type asset struct {
	Source struct {
		Path      string `json:"path"`
		Packaging string `json:"packaging"`
	} `json:"source"`
	Destinations map[string]struct {
		Bucket string `json:"bucketName"`
		Key    string `json:"objectKey"`
	} `json:"destinations"`
	content []byte // in place of what is at the path
}

func readAssembly(dir, stack string) (*assembly, error) {
	b, err := os.ReadFile(filepath.Join(dir, stack+".assets.json"))
	if err != nil {
		return nil, fmt.Errorf("there is no assembly of %s in %s; make synth makes it", stack, dir)
	}
	a := &assembly{dir: dir}
	if err := json.Unmarshal(b, a); err != nil {
		return nil, fmt.Errorf("%s.assets.json: %w", stack, err)
	}
	for _, f := range a.Files {
		if f.Source.Path == stack+".template.json" {
			a.template = f
			return a, nil
		}
	}
	return nil, fmt.Errorf("%s.assets.json does not name the template", stack)
}

// without leaves the types of resources out of the template. Nothing may
// refer to them.
func (a *assembly) without(types string) error {
	if types == "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(a.dir, a.template.Source.Path))
	if err != nil {
		return err
	}
	var template map[string]any
	if err := json.Unmarshal(b, &template); err != nil {
		return fmt.Errorf("%s: %w", a.template.Source.Path, err)
	}
	resources, _ := template["Resources"].(map[string]any)
	for id, r := range resources {
		if r, ok := r.(map[string]any); ok && slices.Contains(strings.Split(types, ","), fmt.Sprint(r["Type"])) {
			delete(resources, id)
		}
	}
	if b, err = json.Marshal(template); err != nil {
		return err
	}
	a.template.content = b
	for name, f := range a.Files {
		if f.Source.Path == a.template.Source.Path {
			a.Files[name] = a.template
		}
	}
	return nil
}
