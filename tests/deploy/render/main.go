// Renders a chart's templates with Go's own engine and the few functions that they use, for where
// there is no helm. Standard input is a JSON object with Values, Chart and Release; the arguments
// are the template files; standard output is what helm would apply.
//
// toYaml writes JSON, which is YAML as well.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"text/template"
)

func empty(value any) bool {
	if value == nil {
		return true
	}
	is, _ := template.IsTrue(value)
	return !is
}

func asInt(value any) (int64, error) {
	switch number := value.(type) {
	case float64:
		return int64(number), nil
	case int64:
		return number, nil
	case int:
		return int64(number), nil
	}
	return 0, fmt.Errorf("%v is a %s, not a number", value, reflect.TypeOf(value))
}

func main() {
	var context map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&context); err != nil {
		fail(err)
	}
	all := template.New("chart").Option("missingkey=zero")
	all.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var out bytes.Buffer
			err := all.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
		"toYaml": func(value any) (string, error) {
			text, err := json.Marshal(value)
			return string(text), err
		},
		"nindent": func(count int, text string) string {
			margin := "\n" + strings.Repeat(" ", count)
			return margin + strings.ReplaceAll(text, "\n", margin)
		},
		"default": func(other, value any) any {
			if empty(value) {
				return other
			}
			return value
		},
		"required": func(complaint string, value any) (any, error) {
			if empty(value) {
				return nil, errors.New(complaint)
			}
			return value, nil
		},
		"quote": func(value any) string { return fmt.Sprintf("%q", fmt.Sprint(value)) },
		"int":   asInt,
		"add": func(a, b any) (int64, error) {
			first, err := asInt(a)
			if err != nil {
				return 0, err
			}
			second, err := asInt(b)
			return first + second, err
		},
		"dict": func(pairs ...any) map[string]any {
			made := map[string]any{}
			for i := 0; i+1 < len(pairs); i += 2 {
				made[pairs[i].(string)] = pairs[i+1]
			}
			return made
		},
	})
	if _, err := all.ParseFiles(os.Args[1:]...); err != nil {
		fail(err)
	}
	for _, path := range os.Args[1:] {
		if strings.HasPrefix(filepath.Base(path), "_") {
			continue
		}
		fmt.Println("---")
		if err := all.ExecuteTemplate(os.Stdout, filepath.Base(path), context); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
