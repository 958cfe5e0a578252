package settings

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
)

// OfCompose returns the containers of compose files, each of which adds to those before it, with the services of Docmill, and for
// each one more with the arguments of its health check. The environment has the variables that the files refer to.
func OfCompose(ctx context.Context, environment []string, files ...string) ([]Container, error) {
	options, err := cli.NewProjectOptions(
		files, cli.WithWorkingDirectory(filepath.Dir(files[0])), cli.WithProfiles([]string{"*"}), cli.WithEnv(environment))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", files, err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", files, err)
	}
	var containers []Container
	for name, service := range project.Services {
		program := programOf(service.Image)
		if program == "" {
			continue
		}
		container := Container{Name: "service " + name, Program: program, Environment: map[string]string{}, Files: map[string]string{}}
		for variable, value := range service.Environment {
			if value != nil {
				container.Environment[variable] = *value
			}
		}
		for _, secret := range service.Secrets {
			container.Files[secret.Target] = anySecret(secret.Source)
		}
		if len(service.Command) > 0 {
			container.Arguments = service.Command[1:]
		}
		containers = append(containers, container)
		if check := service.HealthCheck; check != nil {
			if len(check.Test) < 3 || check.Test[0] != "CMD" || check.Test[1] != program || check.Test[2] != "healthcheck" {
				return nil, fmt.Errorf("the health check of service %s is not one of %s: %v", name, program, check.Test)
			}
			container.Name, container.Arguments = container.Name+" (health check)", check.Test[3:]
			containers = append(containers, container)
		}
	}
	return containers, nil
}
