package manifest

import (
	"fmt"
	"io/fs"
	"os"
	"path"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Kustomize renders the kustomization in a directory.
func Kustomize(files filesys.FileSystem, directory string) ([]Object, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, directory)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", directory, err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("encode the objects of %s: %w", directory, err)
	}
	return Parse(text)
}

// Tree returns a copy in memory of a directory's YAML and other files, as /.
func Tree(directory string) (filesys.FileSystem, error) {
	files := filesys.MakeFsInMemory()
	source := os.DirFS(directory)
	err := fs.WalkDir(source, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		return files.WriteFile(path.Join("/", name), content)
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", directory, err)
	}
	return files, nil
}
